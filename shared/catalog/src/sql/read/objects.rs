//! The instances of a study, a series or one instance with their objects in the instance store, as they are retrieved.

use super::database::CatalogReader;
use super::database::read::paging::ROWS;
use super::filings::HAS_INSTANCE;
use crate::error::CatalogError;
use crate::records::StoredInstance;
use crate::search::{StoredOrder, StoredSearch};
use contract::uid::StudyInstanceUid;
use sqlx::QueryBuilder;

impl CatalogReader {
    /// The series of a study, those too of which only some instances are of this study.
    pub(crate) async fn series_of_study(
        &self,
        study: &StudyInstanceUid,
    ) -> Result<Vec<String>, CatalogError> {
        let mut connection = self.connection().await?;
        let query = concat!(
            "select series_instance_uid from series where study_instance_uid = $1 and ",
            agrees!("series"),
            " union select series.series_instance_uid from identities
                 join series on series.series_instance_uid = identities.series_instance_uid
                 where identities.study_instance_uid = $1 and ",
            disagrees!("series"),
            " and "
        );
        let query = sqlx::AssertSqlSafe(format!("{query}{HAS_INSTANCE} order by 1"));
        Ok(sqlx::query_scalar(query)
            .bind(study.as_str().to_owned())
            .fetch_all(&mut *connection)
            .await?)
    }

    pub(crate) async fn stored_instances(
        &self,
        search: &StoredSearch,
        after: Option<&StoredInstance>,
        limit: u32,
    ) -> Result<Vec<StoredInstance>, CatalogError> {
        let (place, is_long) = match search.order {
            StoredOrder::Arrival => ("instances.added_sequence", false),
            StoredOrder::Number => {
                (integer!("instances.instance_number"), search.instance.is_none())
            }
        };
        let _turn = match is_long {
            true => Some(self.long_reads.turn().await?),
            false => None,
        };
        let mut query = QueryBuilder::new(ROWS);
        query.push(format_args!(
            "select cast({}({place}, instances.series_instance_uid, instances.sop_instance_uid,
                 instances.sop_class_uid, instances.transfer_syntax_uid, instances.object_key,
                 instances.object_bytes, instances.object_blake3) as text) as row
             from instances
             join series on series.series_instance_uid = instances.series_instance_uid
             left join identities on identities.id = instances.identity and {}
             where instances.series_instance_uid = ",
            json_list!(),
            disagrees!("series")
        ));
        query.push_bind(search.series.as_str().to_owned());
        // Of a series whose instances disagree each one says in which study it is.
        query.push(" and coalesce(identities.study_instance_uid, series.study_instance_uid) = ");
        query.push_bind(search.study.as_str().to_owned());
        if let Some(instance) = &search.instance {
            query.push(" and instances.sop_instance_uid = ").push_bind(instance.clone());
        }
        if let Some(after) = after {
            query.push(format_args!(" and ({place}, instances.sop_instance_uid) > ("));
            query.push_bind(after.place).push(", ");
            query.push_bind(after.sop_instance_uid.clone()).push(")");
        }
        query.push(format_args!(" order by {place}, instances.sop_instance_uid limit "));
        query.push_bind(i64::from(limit));
        self.collect(query).await
    }
}
