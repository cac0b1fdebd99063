"""DynamoDB's documented limits, by name (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html)."""

KB = 1024
MB = 1024 * KB
GB = 1024 * MB
DAY_SECONDS = 86_400

REQUEST_BYTES = 16 * MB
ITEM_BYTES = 400 * KB
PAGE_BYTES = MB
"""What Query and Scan read at most in one call."""
BATCH_GET_KEYS = 100
BATCH_GET_BYTES = 16 * MB
BATCH_WRITE_REQUESTS = 25
TRANSACTION_ACTIONS = 100
TRANSACTION_BYTES = 4 * MB
TOKEN_SECONDS = 600.0
"""How long a ClientRequestToken of TransactWriteItems is remembered."""

MOST_TOLD = 256
"""Elements of a list that are checked and told where fewer may be."""
SLICE_REQUESTS = 25
"""Parts of a batch or transaction that are checked at once; then others are let in."""
SLICE_BYTES = 256 * KB
"""The same of what a batch reads and writes."""
CHECKED_AT_ONCE = 64 * KB
"""Larger batches and transactions are checked in a helper thread."""

PARTITION_KEY_BYTES = 2048
SORT_KEY_BYTES = 1024
ATTRIBUTE_NAME_BYTES = 65535
KEY_ATTRIBUTE_NAME_BYTES = 255
NESTING = 32
NUMBER_DIGITS = 38
NUMBER_MAX_EXPONENT = 125
NUMBER_MIN_EXPONENT = -130

EXPRESSION_BYTES = 4 * KB
EXPRESSION_OPERATORS = 300
EXPRESSION_NESTING = 100
"""How deep parentheses, NOT and functions may nest in an expression: the parser's bound."""
PATH_ELEMENTS = 32
"""Names and positions that a document path may have."""
IN_OPERANDS = 100
PLACEHOLDER_BYTES = 255
EXPRESSION_VALUES_BYTES = 2 * MB
CACHED_EXPRESSIONS = 4096
"""Parsed expressions kept in memory."""
CACHED_STATEMENTS = 2048
"""Parsed PartiQL statements kept in memory."""
CACHED_STATEMENT_CHARS = 2048
"""Longer statements are not kept: they have their values in the text, and are not seen again."""
STATEMENT_CHARS_AT_ONCE = 256
"""Longer statements are parsed in a helper thread: the longest take tens of milliseconds."""
STATEMENT_PARTITIONS = 50
"""Partition key values that the IN of a PartiQL statement may have."""
STATEMENT_PARTITION_ROWS = 10
"""What a page of a statement over several partitions reads at most."""

LOCAL_INDEXES = 5
COLLECTION_BYTES = 10 * GB
"""What the items that share a partition key may come to together with their entries in local indexes."""
GLOBAL_INDEXES = 20
PROJECTED_ATTRIBUTES = 100
"""NonKeyAttributes of all indexes of a table together."""
VECTOR_INDEXES = 5
DIMENSIONS = 4096
"""Numbers that a vector may have."""
INLINE_FILTERS = 18
"""Attributes that searches of a vector index can be narrowed by."""
TOP_K = 100
"""Items that a search answers at most."""
SEARCH_BYTES = 16 * MB
INDEX_KEY_ATTRIBUTES = 4
"""Attributes that may make up an index's partition key, and its sort key."""
TAGS = 50
FREE_DECREASES = 4
"""How often in a (UTC) day throughput can be lowered at any time; after that once in DECREASE_SECONDS."""
DECREASE_SECONDS = 3600.0
ON_DEMAND_SWITCHES = 4
"""How often a table can become on-demand within 24 hours."""
CLASS_CHANGES = 2
"""How often a table's class can change within CLASS_CHANGE_DAYS."""
CLASS_CHANGE_DAYS = 30
ENCRYPTION_CHANGES = 4
"""How often a table's encryption can change within 24 hours at any time; after that once in ENCRYPTION_SECONDS."""
ENCRYPTION_SECONDS = 21_600.0
LIST_TABLES = 100

READ_CHUNK_ROWS = 100
"""Rows that a page asks the store for at first, and when no estimate is at hand."""
READ_CHUNK_MOST = 250
"""Others are let in between two chunks."""
SETTLE_SECONDS = 2.5
"""How long after a change of a table's schema every writer is sure to know it (metadata is at most a second old elsewhere)."""
BACKFILL_ROWS = 50
"""Items that a backfill handles in one transaction."""
COUNT_ROWS = 20_000
"""Tables of up to this many items are counted when they are described; larger ones by a sweep in the background."""
COUNT_SECONDS = 300.0
"""The least time between two sweeps over one large table."""

STREAM_SECONDS = 86_400.0
"""How long stream records, and streams that have ended, can be read."""
STREAM_RECORDS = 1000
"""Records in one answer of GetRecords."""
STREAM_BYTES = MB
STREAM_SHARDS = {"embedded": 1, "distributed": 4}
"""Shards of a stream. Writers of one shard wait for each other: on one machine they do so anyway."""
ITERATOR_SECONDS = 900.0
LIST_STREAMS = 100
TRIM_SECONDS = 30.0
"""How often stream records that are too old are looked for."""
TRIM_ROWS = 50
"""Stream records that are deleted in one transaction."""

EXPIRY_SECONDS = 5.0
"""How often items that have expired are looked for."""
EXPIRY_ROWS = 25
"""Expired items that are deleted in one transaction."""
EXPIRY_OLDEST = 1826 * 86_400
"""Items that expired longer ago, five years, are left alone."""

COPY_ROWS = 50
COPY_BYTES = 256 * KB
"""Items that a backup or a restore copies in one transaction: as many as there are in so many bytes."""
COPY_LEASE_SECONDS = 10.0
"""How long after a crash a copy goes on at the latest."""
RECOVERY_DAYS = 35
"""The longest, and default, RecoveryPeriodInDays; also how long the backup of a deleted table is kept."""
LIST_BACKUPS = 100
TIDY_SECONDS = 600.0
"""How often change logs and backups that are too old are looked for."""

POLICY_BYTES = 20_480
"""A resource policy, as it is given."""
