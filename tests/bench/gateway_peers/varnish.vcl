# Varnish as a caching gateway. Words after two at signs are filled in.
vcl 4.1;

import directors;

backend first { .host = "127.0.0.1"; .port = "@@first"; }
backend second { .host = "127.0.0.1"; .port = "@@second"; }

sub vcl_init {
    new replicas = directors.round_robin();
    replicas.add_backend(first);
    replicas.add_backend(second);
}

sub vcl_recv {
    set req.backend_hint = replicas.backend();
    if (!req.http.X-Request-ID) {
        set req.http.X-Request-ID = req.xid;
    }
    set req.http.X-Forwarded-Proto = "http";
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # As all peers here: requests with credentials are answered from the cache, too.
    return (hash);
}
