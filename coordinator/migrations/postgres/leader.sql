-- Who leads; docs/decisions/0009-fencing-postgresql.md. This table is there before all others and no migration changes it, so
-- that every version of the program can end the term of every other before it looks at anything else.
CREATE TABLE leader (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    -- The term. Each leader raises it before it reads the log, and every transaction that writes locks this row and compares.
    epoch BIGINT NOT NULL,
    -- For people.
    name TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- Counts signs of life; one that stands still for three leases is the sign of a leader that hangs.
    beats BIGINT NOT NULL,
    lease_ms BIGINT NOT NULL
);

INSERT INTO leader (one, epoch, name, beats, lease_ms) VALUES (1, 0, '', 0, 0);
