//! One series with all that is known of it, and its instances.

use super::database::CatalogReader;
use super::database::identities::identities_of_series;
use super::database::read::columns::object;
use super::database::read::paging::ROWS;
use super::expressions::expression;
use crate::encoding::details;
use crate::error::CatalogError;
use crate::records::{Details, InstanceRecord};
use crate::search::{Page, Position};
use contract::attributes::{ATTRIBUTES, Attribute, Form, Table, columns_in};
use contract::uid::SeriesInstanceUid;
use sqlx::QueryBuilder;
use std::borrow::Cow;
use std::sync::LazyLock;

/// An instance as a JSON list, in the order of the fields of its record.
static INSTANCE: LazyLock<String> = LazyLock::new(|| instance(ATTRIBUTES));

pub(crate) fn instance(attributes: &'static [Attribute]) -> String {
    let columns: Vec<_> =
        columns_in(attributes, Table::Instances).map(|column| column.name).collect();
    let (list, columns) = (json_list!(), columns.join(", "));
    format!(
        "{list}(sop_instance_uid, sop_class_uid, transfer_syntax_uid, {list}({columns}),
         bytes, association_id, received_at)"
    )
}

/// What the history has of the last revision of the series of the statement that is kept.
macro_rules! of_last_kept {
    ($column:literal) => {
        concat!(
            "(select ",
            $column,
            " from revisions
                where revisions.series_instance_uid = series.series_instance_uid
                    and kept_at is not null and removed_at is null
                order by revisions.revision desc limit 1)"
        )
    };
}

/// What is known of a series beside its attributes, each with where it is.
const DETAILS: &[(&str, &str)] = &[
    ("SeriesInstanceUID", "series.series_instance_uid"),
    ("StudyInstanceUID", "series.study_instance_uid"),
    ("InstancesCount", "series.instances_count"),
    ("CallingAETitle", "series.calling_ae_title"),
    ("Source", "series.source"),
    ("State", "series.state"),
    ("InstancesReceived", count_instances!()),
    ("ExpectedCount", "series.expected_count"),
    ("ClaimedCount", "series.claimed_count"),
    ("Revision", "series.revision"),
    ("Reason", "series.reason"),
    (
        "Disagreements",
        concat!("case when ", disagrees!("series"), " then ", identities_of_series!(), " end"),
    ),
    ("Held", "nullif(cast(series.held as integer), 0)"),
    ("Partial", "cast(series.partial as integer)"),
    ("FirstReceivedAt", "series.first_received_at"),
    ("LastReceivedAt", "series.last_received_at"),
    ("LastActivityAt", "series.last_activity_at"),
    ("FirstCompletedAt", "series.first_completed_at"),
    ("CompletedAt", "series.completed_at"),
    ("InstancesSequence", "nullif(series.completed_sequence, 0)"),
    ("KeptRevision", of_last_kept!("revisions.revision")),
    ("KeptAt", of_last_kept!("kept_at")),
    ("KeptPlace", of_last_kept!("kept_place")),
];

/// All that is known of a series. Of what studies and series both keep it is what the series says.
static SERIES: LazyLock<String> = LazyLock::new(|| series(ATTRIBUTES));

pub(crate) fn series(attributes: &'static [Attribute]) -> String {
    let tables = [Table::Patients, Table::Studies, Table::Series];
    let kept = tables.into_iter().flat_map(|table| {
        let own = columns_in(attributes, table)
            .filter(move |column| column.attribute.tables().last() == Some(&table));
        own.map(move |column| {
            let value = match column.attribute.form {
                Form::Items(_) => expression(column.attribute),
                _ => format!("{}.{}", table.name(), column.name).into(),
            };
            (column.keyword, value)
        })
    });
    let object =
        object(DETAILS.iter().map(|(key, value)| (*key, Cow::Borrowed(*value))).chain(kept));
    format!("select {object} from series {} where series.series_instance_uid = $1", join_owners!())
}

impl CatalogReader {
    pub(crate) async fn series_details(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Details>, CatalogError> {
        let mut connection = self.connection().await?;
        let found: Option<String> = sqlx::query_scalar(SERIES.as_str())
            .bind(series.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        found.as_deref().map(details).transpose()
    }

    pub(crate) async fn count_instances(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<u64>, CatalogError> {
        let mut connection = self.connection().await?;
        let count: Option<i64> = sqlx::query_scalar(concat!(
            "select ",
            count_instances!(),
            " from series where series_instance_uid = $1"
        ))
        .bind(series.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        Ok(count.map(i64::unsigned_abs))
    }

    pub(crate) async fn instances(
        &self,
        series: &SeriesInstanceUid,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<InstanceRecord>, CatalogError> {
        // No two have one sequence: each is from an event of its own.
        let after = after.unwrap_or(Position::before_all(false));
        let mut query = QueryBuilder::new(ROWS);
        query.push(format_args!(
            "select cast({}(added_sequence, 0, {}) as text) as row
             from instances where series_instance_uid = ",
            json_list!(),
            *INSTANCE
        ));
        query.push_bind(series.as_str().to_owned());
        query.push(" and added_sequence > ").push_bind(after.key);
        query.push(" order by added_sequence limit ").push_bind(i64::from(limit) + 1);
        self.page(query, limit).await
    }
}
