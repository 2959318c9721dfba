"""A second level of the caches, which gateways share: Valkey or Redis. Only there if the document names servers.

level         it at work: asked when the first level has nothing, filled when the caller has his answer
sharing       what the first level gives to it, and takes from it; pure
entries       answers as bytes that mean one thing, or nothing at all; pure
scripts       what is decided where the data lies, in one step
rule          what a document may choose of it
connection    the servers, one or a cluster: who can be asked about a key, and how
link          one connection to one server, shared by all
server_clock  when something happened here that happened by a server's clock; pure

Why nobody is given anything from there that is out of date is in docs/adr/0018.
"""
