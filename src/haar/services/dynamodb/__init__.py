"""DynamoDB.

Where things are: `prepare` checks requests, `access` says what they demand, `tables` holds compiled tables. `writes.perform` is the one
way an item changes (row, index entries, `Table.on_change`), `reads.read_page` the one way items are read in order. `items`, `queries`,
`batches` and `transactions` are the operations on items, `search` is that on vectors (`vectors` are the rules of their indexes), and
`partiql` runs statements as these; `control`, `update` (with `rates`) and `tags` are those on tables; `jobs` goes on behind them.

`changes` decides what is written with an item besides: stream records (`shards`, `streams`; read through `public`), when it expires
(`expiries`, `ttl`), what it was before (`history`). `copies` makes backups of tables and tables of backups: `backups`, `restores`,
`recovery`.
"""

from haar.services.dynamodb import (
    backups,
    batches,
    control,
    exports,
    items,
    jobs,
    policies,
    queries,
    recovery,
    replicas,
    restores,
    search,
    settings,
    streams,
    tags,
    transactions,
    ttl,
    update,
)
from haar.services.dynamodb.face import service
from haar.services.dynamodb.partiql import run

service.background += [
    jobs.run_clearing,
    jobs.run_indexing,
    transactions.run_forgetting,
    streams.run_trimming,
    ttl.run_switching,
    ttl.run_expiring,
    restores.run_copying,
    recovery.run_tidying,
]

__all__ = ["service"]
