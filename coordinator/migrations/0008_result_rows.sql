-- The rows behind a result: what each document adds to a loss. Three little-endian numbers a row, of eight bytes each: nats
-- as a double, tokens and bytes as unsigned integers.
CREATE TABLE result_rows (
    stage TEXT NOT NULL REFERENCES stages (stage),
    name TEXT NOT NULL,
    rows BLOB NOT NULL,
    PRIMARY KEY (stage, name)
) STRICT, WITHOUT ROWID;
