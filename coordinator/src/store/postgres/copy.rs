//! The tables as they are, for copies of whole stores.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::query_builder::Separated;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

use super::error::{cannot_begin, cannot_open, cannot_read, cannot_write};
use super::open::PostgresStore;
use super::transaction::Transaction;
use crate::store::copy::{End, Kind, Portable, Receiver, Row, Table, Value};
use crate::store::{Store, StoreError, Term};

#[async_trait]
impl Portable for PostgresStore {
    async fn page(&self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut connection = self.reads.acquire().await.map_err(cannot_open)?;
        page(&mut connection, table, after, limit).await
    }

    async fn has_tables(&self) -> Result<bool, StoreError> {
        self.has_schema().await
    }

    async fn end(&self) -> Result<End, StoreError> {
        let end = sqlx::query_as("SELECT sequence, chain FROM log_end WHERE one = 1").fetch_one(&self.reads).await;
        end.map_err(cannot_read("log_end"))
    }

    async fn receive(&self, term: Term) -> Result<Box<dyn Receiver>, StoreError> {
        let mut transaction = self.begin(term).await?;
        // A stage may refer to one that comes after it.
        let defer = sqlx::raw_sql("SET CONSTRAINTS ALL DEFERRED").execute(transaction.connection()).await;
        defer.map_err(cannot_begin)?;
        Ok(Box::new(Receiving(transaction)))
    }

    fn as_store(&self) -> &dyn Store {
        self
    }
}

/// The transaction in which a store is taken in.
struct Receiving(Transaction);

#[async_trait]
impl Receiver for Receiving {
    async fn page(&mut self, table: &Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        page(self.0.connection(), table, after, limit).await
    }

    async fn insert(&mut self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        // Nobody knows any more which term wrote a fact that was copied.
        let (column, is_log) = if table.name == "facts" { (", epoch", true) } else { ("", false) };
        let mut insert = QueryBuilder::new(format!("INSERT INTO {} ({}{column}) ", table.name, table.list()));
        insert.push_values(rows, |mut row, values| {
            for (value, (_, kind)) in values.iter().zip(table.columns) {
                bind(&mut row, value, *kind);
            }
            if is_log {
                row.push("0");
            }
        });
        let inserted = insert.build().persistent(false).execute(self.0.connection()).await;
        inserted.map(drop).map_err(cannot_write(table.name))
    }

    async fn set_end(&mut self, end: &End) -> Result<(), StoreError> {
        let update = sqlx::query("UPDATE log_end SET sequence = $1, chain = $2 WHERE one = 1").bind(end.0).bind(&end.1);
        update.execute(self.0.connection()).await.map_err(cannot_write("log_end"))?;
        // The next series has a number that none of those has that were copied.
        let next = "SELECT setval(pg_get_serial_sequence('curve_series', 'id'), coalesce(max(id), 0) + 1, false) \
                    FROM curve_series";
        let next = sqlx::query(next).execute(self.0.connection()).await;
        next.map(drop).map_err(cannot_write("curve_series"))
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.0.end(Ok(())).await
    }
}

async fn page(
    connection: &mut PgConnection,
    table: &Table,
    after: Option<&[Value]>,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut select = QueryBuilder::<Postgres>::new(format!("SELECT {} FROM {}", table.list(), table.name));
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

fn bind(row: &mut Separated<'_, Postgres, &'static str>, value: &Value, kind: Kind) {
    match kind {
        Kind::Integer => row.push_bind(if let Value::Integer(value) = value { Some(*value) } else { None }),
        Kind::Real => row.push_bind(if let Value::Real(value) = value { Some(*value) } else { None }),
        Kind::Text => row.push_bind(if let Value::Text(value) = value { Some(value.clone()) } else { None }),
        Kind::Bytes => row.push_bind(if let Value::Bytes(value) = value { Some(value.clone()) } else { None }),
    };
}

fn read(row: &PgRow, table: &Table) -> Result<Row, sqlx::Error> {
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
