"""The command line, `stones`. It loads only when a command runs.

main                the entry point: runs a command, and turns errors into exit codes
lazy_commands       the names of the commands, and where each is
collection_commands collections, indexes
entry_commands      get, put, delete, keys
info_command        info
store_commands      check, salvage, backup, compact
entry_commands      get, keys
find_command        find, count
write_commands      put, add, update, delete
edit_command        edit
store_commands      info, check, salvage, backup, compact
migrate_command     migrate
migration_commands  migrations new, status, plan, run, verify, undo
copy_command        copy
import_command      import
export_command      export
bench_command       bench
shell_command       shell
output              what commands print: the forms of rows and facts, and the pager
tables              rows as a table, by rich
progress            progress bars for long work
bars                the bar, by rich
plots               the sizes in a store as bars, by rich
terminal_text       text of a store for a terminal, without control characters
serve_command       serve
opening             how a command opens its store, with the keys that the user has given
options             options and exit codes that the commands share
keys                the type of an argument that is a key
records             the collection and the records that a command names, and their fields
typed_keys          which entry a user means by the arguments KEY
completion          what may be typed next in a shell: stores, collections, keys, fields
completing_shells   how bash, zsh and fish ask for it
examples            commands with examples in their help, which run as tests
usage               wrong command lines: suggestions, and where the help is
prompt/             the Python prompt of `shell`
streams             closed standard streams, and a pipe whose reader has ended
"""
