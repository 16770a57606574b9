-- What stages that record say of their steps, beside the curve: other stages have no row here. NULL in a column that was
-- measured is what is no number (NaN).
CREATE TABLE curve_dynamics (
    stage TEXT NOT NULL,
    step INTEGER NOT NULL,
    largest_gradient REAL,
    -- Whether the step was compared with the one before it: then the next four were measured.
    has_consecutive INTEGER NOT NULL,
    gradient_product REAL,
    gradient_cosine REAL,
    d1 REAL,
    d2 REAL,
    -- Which of the columns behind it were measured: a bit each, the lowest for the first.
    update_kinds INTEGER NOT NULL,
    update_embedding REAL,
    update_qkv REAL,
    update_attention_out REAL,
    update_gate_up REAL,
    update_down REAL,
    update_gain REAL,
    update_head REAL,
    PRIMARY KEY (stage, step),
    FOREIGN KEY (stage, step) REFERENCES curve_points ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
