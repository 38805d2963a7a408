//! The columns that keep attributes, as they stand in the statements and as their values are bound: an array for
//! each column. They follow from the table of attributes.

use crate::encoding::number;
use crate::postgres::values::{attribute, items, whole};
use contract::attributes::{Column, ColumnType, Form, Table, columns};
use contract::event::{AttributeValue, InstanceStored};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

/// The columns of a table.
pub(in crate::postgres) struct AttributeColumns {
    /// In the order of the keywords, as an event has them.
    columns: Vec<(Column, Type)>,
    /// The keywords of these.
    keywords: Vec<&'static str>,
    /// Their names, with a comma between two.
    pub(in crate::postgres) names: String,
    /// Their parameters: an array each.
    pub(in crate::postgres) arrays: String,
    /// Their values in the row `told`, which has them by their names.
    pub(in crate::postgres) values: String,
    /// How each takes the new value in an upsert.
    pub(in crate::postgres) updates: String,
}

/// The type of a column in PostgreSQL.
#[derive(Debug, Clone, Copy)]
enum Type {
    Text,
    /// `jsonb`.
    Items,
    /// 32 bits.
    Integer,
    Bigint,
}

impl Type {
    fn of(column: &Column, table: Table) -> Self {
        match (column.column_type, table) {
            (ColumnType::Text, _) => match column.attribute.form {
                Form::Items(_) => Self::Items,
                Form::Text | Form::Number => Self::Text,
            },
            (ColumnType::Integer, Table::Instances) => Self::Integer,
            (ColumnType::Integer, _) => Self::Bigint,
        }
    }

    /// What its values are in an array.
    const fn element(self) -> &'static str {
        match self {
            Self::Text | Self::Items => "text",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
        }
    }
}

impl AttributeColumns {
    /// Those of a table, of which the first has the parameter of this number.
    pub(in crate::postgres) fn of(table: Table, first: usize) -> Self {
        let mut columns: Vec<_> =
            columns(table).map(|column| (column, Type::of(&column, table))).collect();
        columns.sort_unstable_by_key(|(column, _)| column.keyword);
        let each = |part: &dyn Fn(usize, &'static str, Type) -> String| {
            let parts = columns.iter().enumerate();
            let parts = parts.map(|(place, (column, is))| part(place, column.name, *is));
            parts.collect::<Vec<_>>().join(", ")
        };
        Self {
            names: each(&|_, name, _| name.to_owned()),
            arrays: each(&|place, _, is| format!("${}::{}[]", first + place, is.element())),
            values: each(&|_, name, is| match is {
                Type::Items => format!("told.{name}::jsonb"),
                Type::Text | Type::Integer | Type::Bigint => format!("told.{name}"),
            }),
            updates: each(&|_, name, _| format!("{name} = excluded.{name}")),
            keywords: columns.iter().map(|(column, _)| column.keyword).collect(),
            columns,
        }
    }

    /// Binds what these events have.
    pub(in crate::postgres) fn bind<'q>(
        &self,
        mut query: Query<'q, Postgres, PgArguments>,
        events: impl Iterator<Item = &'q InstanceStored>,
    ) -> Query<'q, Postgres, PgArguments> {
        let rows: Vec<Vec<Option<&AttributeValue>>> =
            events.map(|event| event.attributes.pick(&self.keywords).collect()).collect();
        for (place, (_, is)) in self.columns.iter().enumerate() {
            let values = rows.iter().map(|row| row[place]);
            query = match is {
                Type::Text => query.bind(values.map(attribute).collect::<Vec<_>>()),
                Type::Items => query.bind(values.map(items).collect::<Vec<_>>()),
                Type::Integer => {
                    query.bind(values.map(|value| value.and_then(number)).collect::<Vec<_>>())
                }
                Type::Bigint => query.bind(values.map(whole).collect::<Vec<_>>()),
            };
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::CatalogWriter;
    use crate::settings::CatalogSettings;
    use test_database::TestDatabase;

    #[tokio::test]
    async fn each_column_of_the_table_of_attributes_is_in_the_catalogue() {
        let Some(database) = TestDatabase::postgres() else { return };
        let settings = CatalogSettings { database_url: database.url().to_owned() };
        let catalog = CatalogWriter::own(&settings).await.unwrap();
        let mut connection = catalog.acquire().await.unwrap();
        for table in Table::ALL {
            let made: Vec<(String, String)> = sqlx::query_as(
                "select column_name::text, data_type::text from information_schema.columns
                 where table_schema = current_schema() and table_name = $1",
            )
            .bind(table.name())
            .fetch_all(&mut *connection)
            .await
            .unwrap();
            for column in columns(table) {
                let column_type = match Type::of(&column, table) {
                    Type::Items => "jsonb",
                    other => other.element(),
                };
                let expected = (column.name.to_owned(), column_type.to_owned());
                assert!(made.contains(&expected), "no migration makes {table:?}.{}", column.name);
            }
        }
    }
}
