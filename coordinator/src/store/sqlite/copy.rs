//! The tables as they are, for copies of whole stores.

use async_trait::async_trait;
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, Transaction};

use super::error::{cannot_begin, cannot_commit, cannot_read, cannot_write};
use super::open::SqliteStore;
use super::term::expect_current;
use crate::store::copy::{End, Kind, Portable, Receiver, Row, Table, Value};
use crate::store::{Store, StoreError, Term};

#[async_trait]
impl Portable for SqliteStore {
    async fn page(&self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut connection = self.driver.acquire().await.map_err(cannot_begin)?;
        page(&mut connection, table, after, limit).await
    }

    async fn has_tables(&self) -> Result<bool, StoreError> {
        // Whoever opens a file brings its tables up to date.
        Ok(true)
    }

    async fn end(&self) -> Result<End, StoreError> {
        let end = sqlx::query_as("SELECT sequence, chain FROM log_end").fetch_one(&self.driver).await;
        end.map_err(cannot_read("log_end"))
    }

    async fn receive(&self, term: Term) -> Result<Box<dyn Receiver>, StoreError> {
        let mut transaction = self.begin().await?;
        expect_current(&mut transaction, term).await?;
        // A stage may refer to one that comes after it.
        let defer = sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *transaction).await;
        defer.map_err(cannot_begin)?;
        Ok(Box::new(Receiving(transaction)))
    }

    fn as_store(&self) -> &dyn Store {
        self
    }
}

/// The transaction in which a store is taken in.
struct Receiving(Transaction<'static, Sqlite>);

#[async_trait]
impl Receiver for Receiving {
    async fn page(&mut self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        page(&mut self.0, table, after, limit).await
    }

    async fn insert(&mut self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        let mut insert = QueryBuilder::new(format!("INSERT INTO {} ({}) ", table.name, table.list()));
        insert.push_values(rows, |mut row, values| {
            for (value, (_, kind)) in values.iter().zip(table.columns) {
                bind(&mut row, value, *kind);
            }
        });
        let inserted = insert.build().persistent(false).execute(&mut *self.0).await;
        inserted.map(drop).map_err(cannot_write(table.name))
    }

    async fn set_end(&mut self, end: &End) -> Result<(), StoreError> {
        let update = sqlx::query("UPDATE log_end SET sequence = ?, chain = ?").bind(end.0).bind(&end.1);
        update.execute(&mut *self.0).await.map(drop).map_err(cannot_write("log_end"))
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.0.commit().await.map_err(cannot_commit)
    }
}

async fn page(
    connection: &mut SqliteConnection,
    table: &Table,
    after: Option<&[Value]>,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut select = QueryBuilder::<Sqlite>::new(format!("SELECT {} FROM {}", table.list(), table.name));
    if let Some(after) = after {
        select.push(format!(" WHERE ({}) > (", table.key_list()));
        let mut values = select.separated(", ");
        for (value, (_, kind)) in after.iter().zip(table.columns) {
            bind(&mut values, value, *kind);
        }
        select.push(")");
    }
    select.push(format!(" ORDER BY {} LIMIT ", table.key_list())).push_bind(limit as i64);
    let rows = select.build().persistent(false).fetch_all(connection).await.map_err(cannot_read(table.name))?;
    rows.iter().map(|row| read(row, table)).collect::<Result<_, _>>().map_err(cannot_read(table.name))
}

fn bind(row: &mut Separated<'_, Sqlite, &'static str>, value: &Value, kind: Kind) {
    match kind {
        Kind::Integer => row.push_bind(if let Value::Integer(value) = value { Some(*value) } else { None }),
        Kind::Real => row.push_bind(if let Value::Real(value) = value { Some(*value) } else { None }),
        Kind::Text => row.push_bind(if let Value::Text(value) = value { Some(value.clone()) } else { None }),
        Kind::Bytes => row.push_bind(if let Value::Bytes(value) = value { Some(value.clone()) } else { None }),
    };
}

fn read(row: &SqliteRow, table: &Table) -> Result<Row, sqlx::Error> {
    let value = |(column, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Integer => row.try_get::<Option<i64>, _>(column)?.map(Value::Integer),
            Kind::Real => row.try_get::<Option<f64>, _>(column)?.map(Value::Real),
            Kind::Text => row.try_get::<Option<String>, _>(column)?.map(Value::Text),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(column)?.map(Value::Bytes),
        }
        .unwrap_or(Value::Null))
    };
    table.columns.iter().enumerate().map(value).collect()
}
