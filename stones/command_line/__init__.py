"""The command line, `stones`. It loads only when a command runs.

main            the entry point: runs a command, and turns errors into exit codes
entry_commands  get, put, delete, keys
store_commands  migrate, info, check, salvage, backup
options         options and exit codes that the commands share
keys            how a key is typed and shown
"""
