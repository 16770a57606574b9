//! Files in, points out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tables::{Choice, ChoiceError, Chosen, read};

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn choose(path: &Path, choice: &Choice) -> Result<Chosen, ChoiceError> {
    read(path).expect("a table").choose(choice)
}

fn refused(path: &Path) -> String {
    vocabulary::text::one_line(&read(path).expect_err("refused"))
}

const ROWS: [(i64, f64, f64); 3] = [(1000, 2e4, 3.5), (2000, 4e4, 3.0), (2000, 8e4, 2.5)];

#[test]
fn the_same_points_from_all_formats() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = |line: &dyn Fn(&(i64, f64, f64)) -> String| ROWS.iter().map(line).collect::<String>();
    let csv = format!("params,tokens,loss,name\n{}", lines(&|(n, d, l)| format!("{n},{d},{l},\"a, b\"\n")));
    let jsonl =
        lines(&|(n, d, l)| format!("{{\"loss\": {l}, \"params\": {n}, \"tokens\": {d}, \"name\": \"a, b\"}}\n"));
    let paths = [
        write(folder.path(), "a.csv", &csv),
        write(folder.path(), "a.jsonl", &jsonl),
        parquet_file(folder.path(), Compression::SNAPPY),
        parquet_file(folder.path(), Compression::ZSTD(Default::default())),
        parquet_file(folder.path(), Compression::GZIP(Default::default())),
        parquet_file(folder.path(), Compression::LZ4_RAW),
        parquet_file(folder.path(), Compression::UNCOMPRESSED),
    ];
    let mut seen = Vec::new();
    for path in paths {
        let chosen = choose(&path, &Choice::default()).expect("points");
        assert_eq!((chosen.points.len(), chosen.rows), (3, 3), "{}", path.display());
        assert_eq!((chosen.points[1].n, chosen.points[1].d, chosen.points[1].loss), (2000.0, 4e4, 3.0));
        assert_eq!(chosen.points[1].trunk, chosen.points[2].trunk);
        seen.push(chosen.points);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

fn parquet_file(folder: &Path, compression: Compression) -> PathBuf {
    let path = folder.join(format!("{compression}.parquet").replace(['(', ')'], "_"));
    let schema = "message table { required int64 params; required double tokens; required double loss; \
                  optional binary name (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let file = std::fs::File::create(&path).expect("created");
    let mut writer = SerializedFileWriter::new(file, schema, properties).expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    let mut column = group.next_column().expect("no error").expect("params");
    let values = ROWS.map(|row| row.0);
    column.typed::<Int64Type>().write_batch(&values, None, None).expect("written");
    column.close().expect("closed");
    for values in [ROWS.map(|row| row.1), ROWS.map(|row| row.2)] {
        let mut column = group.next_column().expect("no error").expect("a column");
        column.typed::<DoubleType>().write_batch(&values, None, None).expect("written");
        column.close().expect("closed");
    }
    let mut column = group.next_column().expect("no error").expect("name");
    let names = [ByteArray::from("a, b"), ByteArray::from("a, b")];
    column.typed::<ByteArrayType>().write_batch(&names, Some(&[1, 0, 1]), None).expect("written");
    column.close().expect("closed");
    group.close().expect("closed");
    writer.close().expect("closed");
    path
}

#[test]
fn every_row_is_accounted_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "N,tokens,final_loss,width,trunk,decayed\n1e3,1e4,3,64,a,true\n1e3,2e4,,64,a,true\n1e3,4e4,2.5,64,a,false\n\
                2e3,1e4,2.4,128,b,true\n";
    let path = write(folder.path(), "a.csv", text);
    let filtered = Choice { filters: vec!["width=64".parse().expect("a condition")], ..Choice::default() };
    let chosen = choose(&path, &filtered).expect("points");
    assert_eq!((chosen.rows, chosen.points.len(), chosen.undecayed), (4, 2, Some(1)));
    let dropped = [("without a value in final_loss".to_owned(), 1), ("not width=64".to_owned(), 1)];
    assert_eq!(chosen.dropped, dropped);
    assert!(chosen.trunks.contains("trunk"));
    let none = Choice { filters: vec!["width=3".parse().expect("a condition")], ..Choice::default() };
    assert!(matches!(choose(&path, &none), Err(ChoiceError::NothingLeft { rows: 4, .. })));
}

#[test]
fn runs_of_a_campaign_that_do_not_belong_together_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "n,d,loss,peak_lr,batch_tokens,arm,state\n1e3,1e4,3,0.01,64,a,completed\n1e3,2e4,2.8,0.02,64,b,completed\n\
                2e3,1e4,2.9,0.01,128,a,completed\n2e3,2e4,4,0.02,128,b,pruned\n2e3,4e4,,0.02,128,b,diverged\n";
    let path = write(folder.path(), "a.csv", text);
    let with = |filters: &[&str]| {
        let filters = filters.iter().map(|filter| filter.parse().expect("a condition")).collect();
        choose(&path, &Choice { filters, ..Choice::default() }).expect("points")
    };
    let all = with(&[]);
    assert_eq!(all.points.len(), 3);
    assert_eq!(all.dropped, [("state = pruned".to_owned(), 1), ("state = diverged".to_owned(), 1)]);
    // Learning rates vary with the arms, and batch sizes with N.
    let [note] = &all.notes[..] else { panic!("{:?}", all.notes) };
    assert!(note.contains("2 different values of arm (a, b)") && note.contains("'arm=VALUE'"), "{note}");
    assert!(with(&["arm=a"]).notes.is_empty());
    assert!(with(&["peak_lr=0.01"]).notes.is_empty());
    assert_eq!(with(&["state!=diverged"]).points.len(), 4, "which states count was said");
}

#[test]
fn compute_stands_in_for_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "a.csv", "C,N,D,loss\n6e9,1e3,7,3\n");
    let by_compute = Choice { flops: Some("C".to_owned()), ..Choice::default() };
    assert_eq!(choose(&path, &by_compute).expect("points").points[0].d, 1e6);
    assert_eq!(choose(&path, &Choice::default()).expect("points").points[0].d, 7.0);
    let both = Choice { d: Some("D".to_owned()), ..by_compute };
    assert_eq!(choose(&path, &both), Err(ChoiceError::TokensAndCompute));
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let say = |text: &str, choice: &Choice| {
        choose(&write(folder.path(), "a.csv", text), choice).expect_err("refused").to_string()
    };
    let message = say("size,d,loss\nx,1,2\n", &Choice::default());
    assert!(message.contains("--n") && message.contains("size, d, loss"), "{message}");
    let asked = Choice { n: Some("weights".to_owned()), ..Choice::default() };
    assert!(say("n,d,loss\n1,1,2\n", &asked).contains("\"weights\""));
    for bad in ["NaN", "inf", "0", "-1", "diverged"] {
        let message = say(&format!("n,d,loss\n1,1,2\n1,2,{bad}\n"), &Choice::default());
        assert!(message.starts_with("row 2 has loss ="), "{message}");
    }
    assert!(read(&write(folder.path(), "a.txt", "")).is_err());
    let message = refused(&write(folder.path(), "a.jsonl", "{\"n\": 1}\n[1]\n"));
    assert!(message.contains("line 2 is not a JSON object"), "{message}");
    assert!(read(&write(folder.path(), "a.parquet", "PAR1")).is_err());
    assert!(read(&folder.path().join("none.csv")).is_err());
}
