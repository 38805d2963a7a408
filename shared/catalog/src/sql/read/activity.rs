//! What was completed lately, by hour and by sender.

use super::database::CatalogReader;
use crate::activity::{ActivityGroup, HOUR, RecentActivity};
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use jiff::Timestamp;
use sqlx::QueryBuilder;

impl CatalogReader {
    pub(crate) async fn recent_activity(
        &self,
        until: Timestamp,
    ) -> Result<RecentActivity, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let end = nanoseconds(until);
        let mut query = QueryBuilder::new("select (");
        query.push_bind(end).push(" - completed_at - 1) / ").push(HOUR);
        query.push(
            " as hours_before, calling_ae_title, count(*) as series,
                cast(sum(instances_count) as bigint) as instances
             from series where revision > 0 and completed_at >= ",
        );
        query.push_bind(RecentActivity::start(end)).push(" and completed_at < ");
        query.push_bind(end).push(" group by 1, 2");
        let mut connection = self.connection().await?;
        let groups: Vec<ActivityGroup> = query.build_query_as().fetch_all(&mut *connection).await?;
        RecentActivity::of(end, groups)
    }
}
