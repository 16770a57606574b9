-- A measurement is a name and a number; docs/decisions/0007-measurements-by-name.md. NULL is a value that was measured and is
-- not a number (NaN). What was not measured has no row.

-- The results of completed stages.
CREATE TABLE result_measurements (
    stage TEXT NOT NULL REFERENCES results,
    name TEXT NOT NULL,
    value REAL,
    PRIMARY KEY (stage, name)
) STRICT, WITHOUT ROWID;

INSERT INTO result_measurements (stage, name, value)
SELECT stage, 'validation_loss', validation_loss FROM results WHERE validation_loss IS NOT NULL
UNION ALL
SELECT stage, 'validation_loss_per_byte', validation_loss_per_byte FROM results WHERE validation_loss_per_byte IS NOT NULL;

ALTER TABLE results DROP COLUMN validation_loss;
ALTER TABLE results DROP COLUMN validation_loss_per_byte;

-- The losses on single sets were in the log alone. SQLite does not promise to read every decimal number to the last bit, so
-- they are filled in by whoever opens the file, and this says that it is still to be done.
PRAGMA user_version = 1;

-- What stages that record measured of their steps, beside the curve. A stage and a name have one number together: with both
-- in every row, the table would be four times as large.
CREATE TABLE curve_series (
    id INTEGER PRIMARY KEY,
    stage TEXT NOT NULL REFERENCES stages,
    name TEXT NOT NULL,
    UNIQUE (stage, name)
) STRICT;

CREATE TABLE curve_measurements (
    series INTEGER NOT NULL REFERENCES curve_series,
    -- One of `curve_points`; both go together.
    step INTEGER NOT NULL,
    value REAL,
    PRIMARY KEY (series, step)
) STRICT, WITHOUT ROWID;

CREATE TEMP VIEW measured (stage, step, name, value) AS
SELECT stage, step, 'largest_gradient', largest_gradient FROM main.curve_dynamics
UNION ALL SELECT stage, step, 'gradient_product', gradient_product FROM main.curve_dynamics WHERE has_consecutive
UNION ALL SELECT stage, step, 'gradient_cosine', gradient_cosine FROM main.curve_dynamics WHERE has_consecutive
UNION ALL SELECT stage, step, 'd1', d1 FROM main.curve_dynamics WHERE has_consecutive
UNION ALL SELECT stage, step, 'd2', d2 FROM main.curve_dynamics WHERE has_consecutive
UNION ALL SELECT stage, step, 'largest_update/embedding', update_embedding FROM main.curve_dynamics WHERE update_kinds & 1
UNION ALL SELECT stage, step, 'largest_update/qkv', update_qkv FROM main.curve_dynamics WHERE update_kinds & 2
UNION ALL SELECT stage, step, 'largest_update/attention_out', update_attention_out FROM main.curve_dynamics WHERE update_kinds & 4
UNION ALL SELECT stage, step, 'largest_update/gate_up', update_gate_up FROM main.curve_dynamics WHERE update_kinds & 8
UNION ALL SELECT stage, step, 'largest_update/down', update_down FROM main.curve_dynamics WHERE update_kinds & 16
UNION ALL SELECT stage, step, 'largest_update/gain', update_gain FROM main.curve_dynamics WHERE update_kinds & 32
UNION ALL SELECT stage, step, 'largest_update/head', update_head FROM main.curve_dynamics WHERE update_kinds & 64;

INSERT INTO curve_series (stage, name) SELECT DISTINCT stage, name FROM measured;

INSERT INTO curve_measurements (series, step, value)
SELECT curve_series.id, measured.step, measured.value FROM measured JOIN curve_series USING (stage, name);

DROP VIEW measured;
DROP TABLE curve_dynamics;
