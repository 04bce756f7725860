"""The command line, `stones`. It loads only when a command runs.

main            the entry point, and its exit codes
store_commands  migrate, info, check, salvage, backup
options         options that commands share
"""
