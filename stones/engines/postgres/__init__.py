"""The engine on a server that speaks the wire protocol of PostgreSQL. It has five tables a store.

engine        PostgresEngine: begins transactions, reads and writes, closes
retries       runs a change again after a conflict, or after a lost connection
transaction   PostgresTransaction: keeps the changes until the commit
session       the SQL transaction below it: reads, sends the changes, commits
fetching      reads entries page by page, without a cursor at the server
writing       the statements that make changes
connections   opens connections, keeps some for later, leaves a parent's alone after a fork
wire          one connection: several statements in one message, and their results
parameters    values and arrays as the protocol has them
statements    every statement of SQL
dialects      what differs in CockroachDB and YugabyteDB
tables        are the tables there, are they ours, what may the role do; makes and drops them
url           the URL, without the password for messages
errors        the errors of a server as ours
"""
