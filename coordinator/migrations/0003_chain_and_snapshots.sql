-- Each row of the log says what was before it, so that a changed or missing row is noticed; and the ledger is stored beside
-- the log, so that a restart need not read all of it.

-- BLAKE3 of the chain of the row before, of this row's number, time and fact. NULL in rows from before there was one.
ALTER TABLE facts ADD COLUMN chain BLOB;

-- The end of the log: a tail that is cut off leaves a log that is sound in itself.
CREATE TABLE log_end (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    sequence INTEGER NOT NULL,
    chain BLOB
) STRICT;

INSERT INTO log_end (only, sequence, chain) SELECT 1, count(*), NULL FROM facts;

CREATE TABLE snapshots (
    -- The last row of the log that is in it, and that row's chain.
    sequence INTEGER PRIMARY KEY,
    chain BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    -- scheduler::SNAPSHOT_VERSION.
    version INTEGER NOT NULL,
    -- scheduler::Snapshot as JSON, and the BLAKE3 of it.
    ledger BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
