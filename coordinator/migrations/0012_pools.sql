-- Pools whose allocations outlive the coordinator. `settings` is JSON.
CREATE TABLE pools (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    mark TEXT NOT NULL,
    mode TEXT NOT NULL,
    reason TEXT NOT NULL,
    settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each submission, committed before it is made; `job` is the batch system's answer. It goes once the job is over.
CREATE TABLE allocations (
    allocation TEXT PRIMARY KEY,
    pool TEXT NOT NULL,
    intended_at_ms INTEGER NOT NULL,
    job INTEGER
) STRICT, WITHOUT ROWID;
