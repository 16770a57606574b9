//! Which columns and rows are taken, and what is said of it.

use tables::{Choice, ChoiceError, Chosen, read};

fn choose_with(text: &str, choice: &Choice) -> Result<Chosen, ChoiceError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).expect("written");
    read(&path).expect("a table").choose(choice)
}

fn choose(text: &str) -> Result<Chosen, ChoiceError> {
    choose_with(text, &Choice::default())
}

fn column(chosen: &Chosen, quantity: &str) -> String {
    chosen.columns.iter().find(|column| column.quantity == quantity).expect("a column").column.clone()
}

#[test]
fn two_columns_that_could_be_meant_are_not_chosen_between() {
    let refused = [
        ("params,tokens,loss,loss\n1e7,1e9,3,4\n", ["--loss 'loss#1'", "--loss 'loss#2'"]),
        ("params,tokens,loss,Loss \n1e7,1e9,3,4\n", ["--loss 'loss'", "--loss 'Loss'"]),
        ("params,tokens,loss,val_loss\n1e7,1e9,3,4\n", ["--loss 'loss'", "--loss 'val_loss'"]),
        ("params,n_params,tokens,loss\n1e7,2e7,1e9,3\n", ["--n 'params'", "--n 'n_params'"]),
        ("params,tokens,train_tokens,loss\n1e7,1e9,2e9,3\n", ["--d 'tokens'", "--d 'train_tokens'"]),
        ("params,d,tokens,loss\n1e7,1e9,2e9,3\n", ["--d 'd'", "--d 'tokens'"]),
        ("params,tokens,loss,seed,replicate\n1e7,1e9,3,0,1\n", ["--seed 'seed'", "--seed 'replicate'"]),
    ];
    for (text, options) in refused {
        let message = choose(text).expect_err("refused").to_string();
        assert!(options.iter().all(|option| message.contains(option)), "{text}: {message}");
    }
    let second = Choice { loss: Some("loss#2".to_owned()), ..Choice::default() };
    assert_eq!(choose_with(refused[0].0, &second).expect("points").points[0].loss, 4.0);
    let first = Choice { loss: Some("loss".to_owned()), ..Choice::default() };
    assert!(matches!(choose_with(refused[0].0, &first), Err(ChoiceError::Ambiguous { .. })));
    let filter = Choice { filters: vec!["x=1".parse().expect("a condition")], ..Choice::default() };
    let twice = choose_with("params,tokens,loss,x,x\n1e7,1e9,3,1,2\n", &filter);
    assert!(twice.expect_err("refused").to_string().contains("--where 'x#2'"));
}

#[test]
fn what_is_certain_is_chosen_and_said() {
    // Equal columns are one.
    let chosen = choose("params,tokens,loss,final_loss\n1e7,1e9,3,3.0\n2e7,1e9,2,2\n").expect("points");
    assert_eq!((column(&chosen, "loss"), chosen.notes.len()), ("loss".to_owned(), 0));
    // A depth is not an amount of data, in whatever order the columns stand.
    for header in ["d,params,tokens,loss\n12,1e7,1e9,3\n", "tokens,d,params,loss\n1e9,12,1e7,3\n"] {
        let chosen = choose(header).expect("points");
        assert_eq!(column(&chosen, "D"), "tokens");
        assert!(chosen.notes.iter().any(|note| note.contains("D is \"tokens\"")), "{:?}", chosen.notes);
    }
    let chosen = choose("n,params,tokens,loss\n6,1e7,1e9,3\n").expect("points");
    assert_eq!(column(&chosen, "N"), "params");
    // The law's N counts no embeddings.
    let chosen = choose("params,non-embedding params,tokens,loss\n3e7,1e7,1e9,3\n").expect("points");
    assert_eq!(column(&chosen, "N"), "non-embedding params");
    assert!(chosen.notes[0].contains("not \"params\""), "{:?}", chosen.notes);
    // A column of names is not the size.
    let chosen = choose("model_size,params,tokens,loss\ntiny,1e7,1e9,3\n").expect("points");
    assert_eq!((column(&chosen, "N"), chosen.notes.len()), ("params".to_owned(), 0));
    // Of a count and its rounded millions, the count.
    let chosen = choose("params (M),params,tokens,loss\n24.1,24123000,1e9,3\n").expect("points");
    assert_eq!(chosen.points[0].n, 24_123_000.0);
}

#[test]
fn runs_that_did_not_finish_are_left_out_by_any_word_for_it() {
    let rows = |name: &str, words: &[&str]| -> Chosen {
        let row = |(index, word): (usize, &&str)| format!("1e7,{index}e9,3,{word}\n");
        let rows: String = words.iter().enumerate().map(|(index, word)| row((index + 1, word))).collect();
        choose(&format!("params,tokens,loss,{name}\n{rows}")).expect("points")
    };
    let optuna = rows("state", &["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING", "TrialState.PRUNED"]);
    assert_eq!((optuna.points.len(), optuna.dropped.len()), (1, 5));
    assert_eq!(optuna.dropped[0], ("state = PRUNED".to_owned(), 1));
    let wandb = rows("State", &["finished", "crashed", "killed", "failed", "Finished"]);
    assert_eq!(wandb.points.len(), 2);
    let mlflow = rows("status", &["FINISHED", "FAILED", "KILLED", "RUNNING", "SCHEDULED"]);
    assert_eq!(mlflow.points.len(), 1);
    let slurm = rows("Job State", &["COMPLETED", "CANCELLED by 1000", "OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL"]);
    assert_eq!(slurm.points.len(), 1);
    let answers = rows("diverged", &["False", "True", "false", ""]);
    assert_eq!((answers.points.len(), &answers.dropped[0].0[..]), (3, "diverged = True"));
    assert_eq!(rows("finished", &["1", "0", "1"]).points.len(), 2);
    // Where nothing is a word of states, the column is something else.
    assert_eq!(rows("state", &["CA", "NY", "WA"]).points.len(), 3);
    let unknown = rows("state", &["COMPLETE", "ARCHIVED"]);
    assert!(unknown.notes.iter().any(|note| note.contains("state = ARCHIVED")), "{:?}", unknown.notes);
}

/// A sweep: each N and D at some learning rates and batch sizes, worse away from the third and the first, and two seeds.
fn sweep(lr: &str, batch: &str) -> String {
    let mut text = format!("params,tokens,{lr},{batch},seed,run_id,train_loss,loss\n");
    for (cell, (n, d)) in [(1e7, 1e9), (1e7, 2e9), (4e7, 1e9), (4e7, 2e9)].into_iter().enumerate() {
        for (i, rate) in [1e-4, 3e-4, 1e-3, 3e-3].into_iter().enumerate() {
            for (j, size) in [64, 128].into_iter().enumerate() {
                for seed in 0..2 {
                    let id = cell * 16 + i * 4 + j * 2 + seed;
                    let loss =
                        4.0 - 0.1 * cell as f64 + 0.05 * (i as f64 - 2.0).abs() + 0.02 * j as f64 + 0.004 * seed as f64;
                    text.push_str(&format!("{n},{d},{rate},{size},{seed},r{id},{},{loss}\n", loss - 0.001 * id as f64));
                }
            }
        }
    }
    text
}

#[test]
fn settings_that_differ_within_one_n_and_d_are_named() {
    for (lr, batch) in [("lr", "bs"), ("learning_rate", "batch_size"), ("peak_lr", "gbsz"), ("eta", "knob")] {
        let chosen = choose(&sweep(lr, batch)).expect("points");
        let [note] = &chosen.notes[..] else { panic!("{:?}", chosen.notes) };
        assert!(note.contains(&format!("up to 16 rows, which differ in {lr} and {batch}:")), "{note}");
        assert!(note.contains("--best-per-cell") && !note.contains("0.0001"), "{note}");
    }
    // One batch size is left, and then no learning rate.
    let with = |filters: &[&str]| {
        let filters = filters.iter().map(|filter| filter.parse().expect("a condition")).collect();
        choose_with(&sweep("lr", "bs"), &Choice { filters, ..Choice::default() }).expect("points").notes
    };
    assert!(with(&["bs=64"])[0].contains("differ in lr:"), "{:?}", with(&["bs=64"]));
    assert!(with(&["bs=64", "lr=1e-3"]).is_empty(), "only seeds differ");
    let untold = choose("params,tokens,loss\n1e7,1e9,3\n1e7,1e9,3.1\n").expect("points");
    assert!(untold.notes[0].contains("no column tells them apart"), "{:?}", untold.notes);
    let equal = choose("params,tokens,loss\n1e7,1e9,3\n1e7,1e9,3\n").expect("points");
    assert!(equal.notes.is_empty(), "duplicates have a warning of their own");
    let kinds: String = (0..8).map(|i| format!("1e7,{}e9,3,{}\n", i + 1, ["c4", "rpj"][i % 2])).collect();
    let kinds = choose(&format!("params,tokens,loss,corpus\n{kinds}")).expect("points");
    assert!(kinds.notes[0].contains("2 different values of corpus (c4, rpj)"), "{:?}", kinds.notes);
}

#[test]
fn the_best_setting_of_each_n_and_d_is_kept_with_all_its_seeds() {
    let best = Choice { best_per_cell: true, ..Choice::default() };
    let chosen = choose_with(&sweep("lr", "bs"), &best).expect("points");
    let losses: Vec<f64> = chosen.points.iter().map(|point| point.loss).collect();
    assert_eq!(losses, [4.0, 4.004, 3.9, 3.904, 3.8, 3.804, 3.7, 3.704]);
    assert_eq!(chosen.dropped, [("not the best of their (N, D)".to_owned(), 56)]);
    assert!(chosen.notes[0].contains("the best lr and bs of each (N, D)"), "{:?}", chosen.notes);
    // The mean over seeds decides, and not the luckiest; a setting of which a seed diverged is not the best.
    let text = "params,tokens,lr,seed,loss\n1e7,1e9,1,0,2.0\n1e7,1e9,1,1,4.0\n1e7,1e9,2,0,2.9\n1e7,1e9,2,1,2.8\n\
                1e7,1e9,3,0,1\n1e7,1e9,3,1,NaN\n4e7,1e9,1,0,inf\n";
    let chosen = choose_with(text, &best).expect("points");
    let losses: Vec<f64> = chosen.points.iter().map(|point| point.loss).collect();
    assert_eq!(losses, [2.9, 2.8]);
    assert!(
        chosen.dropped.iter().any(|(reason, rows)| reason.contains("diverged") && *rows == 1),
        "{:?}",
        chosen.dropped
    );
    assert!(matches!(choose(text), Err(ChoiceError::BadCell { .. })), "without it, a diverged run needs a decision");
    let broken = "params,tokens,lr,seed,loss\n1e7,1e9,1,0,3\n1e7,1e9,1,1,NaN\n1e7,1e9,2,0,2\n1e7,1e9,2,1,inf\n";
    let chosen = choose_with(broken, &best).expect("points");
    assert_eq!(chosen.points.iter().map(|point| point.loss).collect::<Vec<_>>(), [2.0], "a seed of each diverged");
    // Without a seed, a single row.
    let chosen = choose_with("params,tokens,x,loss\n1e7,1e9,1,3\n1e7,1e9,2,2\n1e7,2e9,1,1\n", &best).expect("points");
    assert_eq!(chosen.points.iter().map(|point| point.loss).collect::<Vec<_>>(), [2.0, 1.0]);
}

#[test]
fn numbers_that_cannot_be_counts_are_remarked_on() {
    let note = |text: &str| choose(text).expect("points").notes.join("; ");
    let tiny = note("params,tokens,loss\n24,0.5,4\n400,8,3\n");
    assert!(tiny.contains("N of 24 to 400 and D of 0.5 to 8 are too small") && tiny.contains("params_M"), "{tiny}");
    assert!(note("params,tokens,loss\n2.4e7,0.5,4\n4e8,300,3\n").contains("D of 0.5 to 300 is too small"));
    assert!(note("params,tokens,loss\n2.4e7,2000,4\n4e8,9000,3\n").contains("of N: if N and D are not counts"));
    assert!(note("params,tokens,loss\n24,1e10,4\n70000,1e12,3\n").contains("times N"));
    assert_eq!(note("params,tokens,loss\n24000,850000,4\n377000,3700000,3\n"), "");
    let counts = note("params_M,tokens,loss\n24000000,1e9,4\n");
    assert!(counts.contains("are counts already"), "{counts}");
}

#[test]
fn a_loss_has_the_unit_that_its_column_says() {
    let unit = |name: &str| choose(&format!("params,tokens,{name}\n1e7,1e9,1\n")).expect("points").unit;
    assert_eq!((unit("val_bpb"), unit("loss"), unit("val_loss")), (Some("bits a byte"), None, None));
    let percent = choose_with(
        "params,tokens,err\n1e7,1e9,35.2%\n",
        &Choice { loss: Some("err".to_owned()), ..Choice::default() },
    );
    let percent = percent.expect("points");
    assert_eq!(percent.points[0].loss, 0.352);
    assert!(percent.columns[2].meaning.contains("read as shares"), "{:?}", percent.columns);
}
