-- Who may speak to the coordinator; docs/design/security.md. A token itself is stored nowhere.
CREATE TABLE tokens (
    -- The part of a token that is no secret.
    token TEXT PRIMARY KEY,
    -- For people.
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    -- BLAKE3 of the whole token, in hexadecimal.
    hash TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    -- NULL where it does not expire.
    expires_at_ms INTEGER,
    -- NULL while it is valid.
    revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- The token under which a worker process said its first hello; NULL where none was needed. Nobody else speaks for it.
ALTER TABLE worker_streams ADD COLUMN token TEXT;
