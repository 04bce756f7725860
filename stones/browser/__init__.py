"""The page to look into a store in a browser: what `stones serve` runs. Extra `stones[browser]`.

app            make_app: the whole of it, as an ASGI application over one open store
site           Site: the store, and what may be done with it
page_request   PageRequest: what a page is given; get_page and post_page make routes
answering      runs a page in a thread, with limits, and turns errors into answers
limits         Limits; Deadline: how long a request may take
limited_view   the store as one request sees it: one snapshot, read-only, until the deadline
rendering      templates, and links to pages
security       the gate before all pages: Host, Origin, and the headers of answers
token_check    the secret that lets a browser in, where the server is given one
patterns       refuses regular expressions that could take for ever
pattern_limits searches texts for regular expressions, until the deadline
request_body   the body of a request, up to a size and within the time
static_files   the style sheet, the script and the icon
views          what the pages show, computed from a store, without HTML
edit_pages     the pages that change records: edit, add, delete
record_changes the changes, each only if the record is still as it was shown
entry_forms    the same for entries that are in no collection
entry_changes  the changes of such entries
field_texts    the fields of a record as texts of a form, and back
read_pages     the pages that only read
measurements   the sizes of the store, and how it grows, measured in a thread
api            the same as JSON, for programs
openapi        the description of the API, as OpenAPI
serving        the server: its sockets, its limits, and its end
templates      the HTML of the pages
static         the style sheet, the script and the icon
"""
