//! What QIDO-RS asks for (PS3.18 section 10.6): attributes of studies, series or instances, by any
//! attribute of their own level or one above it.

use crate::attributes::Level;
use crate::error::CatalogError;
use crate::records::Details;
use crate::search::LevelSearch;
use crate::sqlite::CatalogReader;
use crate::sqlite::columns::expression;
use crate::sqlite::filings::{HAS_INSTANCE, HAS_SERIES, filings_in_study};
use crate::sqlite::read::paging::COLLECT;
use contract::attributes::{Attribute, Kind, keyword};
use sqlx::{QueryBuilder, Sqlite};
use std::borrow::Cow;

/// Where results are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Where all instances of a series, or all series of a study, are of one patient and study: nearly all.
    Agreeing,
    /// The others. Such a series is one result for each study and patient that its instances name, with
    /// those that do; a study one for each patient.
    Disagreeing,
}

impl Where {
    const ALL: [Self; 2] = [Self::Agreeing, Self::Disagreeing];

    fn tables(self, level: Level) -> &'static str {
        match (level, self) {
            (Level::Study, Self::Agreeing) => {
                " from studies join patients on patients.id = studies.patient
                 where studies.study_instance_uid <> '' and studies.disagrees = 0"
            }
            (Level::Study, Self::Disagreeing) => {
                concat!(
                    " from studies indexed by disagreeing_studies
                     cross join patients on patients.id in (select member.patient from ",
                    filings_in_study!(),
                    ") where studies.study_instance_uid <> '' and studies.disagrees = 1"
                )
            }
            (Level::Series, Self::Agreeing) => {
                " from series join patients on patients.id = series.patient
                 join studies on studies.study_instance_uid = series.study_instance_uid
                 where series.disagrees = 0"
            }
            (Level::Series, Self::Disagreeing) => {
                " from identities
                 join series on series.series_instance_uid = identities.series_instance_uid
                 join patients on patients.id = identities.patient
                 join studies on studies.study_instance_uid = identities.study_instance_uid
                 where series.disagrees = 1 and "
            }
            (Level::Instance, Self::Agreeing) => {
                " from instances
                 join series on series.series_instance_uid = instances.series_instance_uid
                 join patients on patients.id = series.patient
                 join studies on studies.study_instance_uid = series.study_instance_uid
                 where series.disagrees = 0"
            }
            (Level::Instance, Self::Disagreeing) => {
                " from identities
                 join instances on instances.identity = identities.id
                 join series on series.series_instance_uid = instances.series_instance_uid
                 join patients on patients.id = identities.patient
                 join studies on studies.study_instance_uid = identities.study_instance_uid
                 where series.disagrees = 1"
            }
        }
    }

    /// What results are sorted by, newest first, as people look for them; and what decides among equals.
    fn order(self, level: Level) -> &'static str {
        match (level, self) {
            (Level::Study, _) => "studies.rowid, patients.id",
            (Level::Series, Self::Agreeing) => "series.rowid, 0",
            (Level::Series, Self::Disagreeing) => "series.rowid, identities.id",
            (Level::Instance, _) => "instances.series_instance_uid, instances.added_sequence",
        }
    }

    /// The expression that gives an attribute's value.
    fn column(self, attribute: &Attribute) -> Cow<'static, str> {
        match (attribute.keyword, self) {
            ("NumberOfSeriesRelatedInstances", Self::Disagreeing) => Cow::Borrowed(
                "(select count(*) from instances where instances.identity = identities.id)",
            ),
            _ => expression(attribute),
        }
    }
}

impl LevelSearch {
    fn push_conditions(&self, query: &mut QueryBuilder<Sqlite>, place: Where) {
        query.push(place.tables(self.level));
        match (self.level, place) {
            (Level::Study, _) => query.push(HAS_SERIES),
            (Level::Series, Where::Disagreeing) => query.push(HAS_INSTANCE),
            _ => query,
        };
        for (attribute, matching) in &self.matching {
            matching.push(query, attribute);
        }
        for (requested, matching) in &self.requested {
            let items = expression(keyword::RequestAttributesSequence);
            query.push(format_args!(" and (select 1 from json_each({items}) as item where "));
            // The keyword is one of ours, never what somebody sent.
            matching.push_on(query, &format!("item.value ->> '$.{requested}'"), Kind::Text);
            query.push(" limit 1) is not null");
        }
    }

    /// The statement of the results, after its beginning.
    pub(in crate::sqlite) fn push_results(&self, query: &mut QueryBuilder<Sqlite>) {
        for (index, place) in Where::ALL.into_iter().enumerate() {
            query.push(if index == 0 {
                "select json_object("
            } else {
                " union all select json_object("
            });
            for (index, attribute) in self.attributes.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let (keyword, column) = (attribute.keyword, place.column(attribute));
                query.push(format_args!("{comma}'{keyword}', {column}"));
            }
            query.push(format_args!(") as row, {}", place.order(self.level)));
            self.push_conditions(query, place);
        }
        let direction = if self.level == Level::Instance { "" } else { " desc" };
        query.push(format_args!(" order by 2{direction}, 3 limit "));
        query.push_bind(i64::from(self.limit) + 1);
        query.push(" offset ").push_bind(i64::from(self.offset));
    }
}

impl CatalogReader {
    pub(crate) async fn search(
        &self,
        search: &LevelSearch,
    ) -> Result<(Vec<Details>, bool), CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new(COLLECT);
        search.push_results(&mut query);
        Ok(search.cut(self.collect(query).await?))
    }

    pub(crate) async fn count_found(&self, search: &LevelSearch) -> Result<u64, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("select (select count(*)");
        search.push_conditions(&mut query, Where::Agreeing);
        query.push(") + (select count(*)");
        search.push_conditions(&mut query, Where::Disagreeing);
        query.push(")");
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }
}
