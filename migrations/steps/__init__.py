"""The steps of a collection: how they are declared, run on all records, and undone.

migration        `Migration`: one numbered step
field_changes    the parts of a declaration as functions of a dict
fingerprints     a short text that changes if a step does
schema           runs the steps of a collection on all of its records
step_check       tries all steps on all records, and writes nothing
step_batches     brings records to a step, in short transactions
record_chains    the steps that a record still has to have, as one function
step_state       how far a run has come, by the description
run_figures      how many records a run has changed, while it lasts
changed_shapes   the fields of the records after a step
touched_indexes  the indexes that steps concern
unique_values    values that two records would have in a unique index
new_keys         steps that give records other keys
undoing          takes steps back
user_line        where a warning is of: the line of the user's program
ledger           which steps ran, when, how long
step_files       steps in files of the user's program
step_status      the files and the ledger, side by side
step_commands    what the commands `stones migrations` ask
new_step_file    writes the file of the next step
"""
