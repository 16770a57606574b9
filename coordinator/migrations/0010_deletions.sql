-- Folders below the root of the storage whose files nothing needs any more, until they are deleted. Whoever is interrupted
-- continues with these.
CREATE TABLE deletions (
    folder TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
