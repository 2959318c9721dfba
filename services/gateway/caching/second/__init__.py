"""A second level of the caches, which gateways share: Valkey or Redis. Only there if the document names servers.

rule          what a document may choose of it
connection    the servers, one or a cluster: who can be asked about a key, and how
link          one connection to one server
server_clock  when something happened here that happened by a server's clock; pure
"""
