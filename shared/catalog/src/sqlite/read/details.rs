//! One series with all that is known of it, and its instances.

use crate::encoding::details;
use crate::error::CatalogError;
use crate::records::{Details, InstanceRecord};
use crate::search::{Page, Position};
use crate::sqlite::CatalogReader;
use crate::sqlite::columns::expression;
use crate::sqlite::identities::identities_of_series;
use crate::sqlite::read::paging::COLLECT;
use contract::attributes::{ATTRIBUTES, Attribute, Form, Table, columns_in};
use contract::uid::SeriesInstanceUid;
use sqlx::QueryBuilder;
use std::sync::LazyLock;

/// All that is known of a series, by the keywords and the names that the API has. Of what studies and series both
/// keep it is what the series says.
static SERIES: LazyLock<String> = LazyLock::new(|| series(ATTRIBUTES));

pub(in crate::sqlite) fn series(attributes: &'static [Attribute]) -> String {
    let tables = [Table::Patients, Table::Studies, Table::Series];
    let kept = tables.into_iter().flat_map(|table| {
        let own = columns_in(attributes, table)
            .filter(move |column| column.attribute.tables().last() == Some(&table));
        own.map(move |column| {
            let value = match column.attribute.form {
                Form::Items(_) => expression(column.attribute),
                _ => format!("{}.{}", table.name(), column.name).into(),
            };
            format!("'{}', {value}", column.keyword)
        })
    });
    let attributes = kept.collect::<Vec<_>>().join(", ");
    format!(
        concat!(
            "select json_object(
                'SeriesInstanceUID', series_instance_uid,
                'StudyInstanceUID', series.study_instance_uid,
                'InstancesCount', instances_count, {attributes},
                'CallingAETitle', calling_ae_title, 'Source', source, 'State', state,
                'InstancesReceived', (select count(*) from instances
                    where instances.series_instance_uid = series.series_instance_uid),
                'ExpectedCount', expected_count, 'ClaimedCount', claimed_count,
                'Revision', revision, 'Reason', reason, 'Disagreements', iif(series.disagrees = 1, ",
            identities_of_series!(),
            ", null),
                'Held', nullif(held, 0),
                'Partial', partial, 'FirstReceivedAt', first_received_at,
                'LastReceivedAt', last_received_at, 'LastActivityAt', last_activity_at,
                'FirstCompletedAt', first_completed_at, 'CompletedAt', completed_at,
                'InstancesSequence', nullif(completed_sequence, 0))
             from series
             join patients on patients.id = series.patient
             join studies on studies.study_instance_uid = series.study_instance_uid
             where series_instance_uid = ?"
        ),
        attributes = attributes
    )
}

/// An instance as a JSON list, in the order of the fields of its record.
static INSTANCE: LazyLock<String> = LazyLock::new(|| instance(ATTRIBUTES));

pub(in crate::sqlite) fn instance(attributes: &'static [Attribute]) -> String {
    let columns: Vec<_> =
        columns_in(attributes, Table::Instances).map(|column| column.name).collect();
    let columns = columns.join(", ");
    format!(
        "json_array(sop_instance_uid, sop_class_uid, transfer_syntax_uid, json_array({columns}),
         bytes, association_id, received_at)"
    )
}

impl CatalogReader {
    pub(crate) async fn series_details(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Details>, CatalogError> {
        let found: Option<String> = sqlx::query_scalar(SERIES.as_str())
            .bind(series.as_str())
            .fetch_optional(&self.pool)
            .await?;
        found.as_deref().map(details).transpose()
    }

    pub(crate) async fn count_instances(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<u64>, CatalogError> {
        let count: Option<i64> = sqlx::query_scalar(
            "select (select count(*) from instances
                 where instances.series_instance_uid = series.series_instance_uid)
             from series where series_instance_uid = ?",
        )
        .bind(series.as_str())
        .fetch_optional(&self.pool)
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
        let mut query = QueryBuilder::new(COLLECT);
        query.push(format_args!(
            "select json_array(added_sequence, 0, {}) as row
             from instances where series_instance_uid = ",
            *INSTANCE
        ));
        query.push_bind(series.as_str().to_owned());
        query.push(" and added_sequence > ").push_bind(after.key);
        query.push(" order by added_sequence limit ").push_bind(i64::from(limit) + 1);
        self.page(query, limit).await
    }
}
