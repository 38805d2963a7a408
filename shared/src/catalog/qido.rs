//! What QIDO-RS asks for (PS3.18 section 10.6): attributes of studies, series or instances, by any
//! attribute of their own level or one above it.

use super::attributes::{ATTRIBUTES, Attribute, Kind, Level, request_attributes};
use super::details::Details;
use super::matching::Matching;
use super::paging::COLLECT;
use super::studies::HAS_SERIES;
use super::{Catalog, CatalogError};
use sqlx::{QueryBuilder, Sqlite};

/// A search at one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelSearch {
    /// What is listed.
    pub level: Level,
    /// By their attributes: each has to match. None is of a deeper level.
    pub matching: Vec<(&'static Attribute, Matching)>,
    /// By an attribute of one item of the Request Attributes Sequence (0040,0275), by its keyword.
    pub requested: Vec<(&'static str, Matching)>,
    /// What is told of each.
    pub attributes: Vec<&'static Attribute>,
    /// How many come before the first that is told.
    pub offset: u32,
    /// How many are told at most.
    pub limit: u32,
}

impl LevelSearch {
    fn push_conditions(&self, query: &mut QueryBuilder<Sqlite>) {
        query.push(match self.level {
            Level::Study => {
                " from studies join patients on patients.id = studies.patient
                 where studies.study_instance_uid <> ''"
            }
            Level::Series => {
                " from series join patients on patients.id = series.patient
                 join studies on studies.study_instance_uid = series.study_instance_uid
                 where true"
            }
            Level::Instance => {
                " from instances
                 join series on series.series_instance_uid = instances.series_instance_uid
                 join patients on patients.id = series.patient
                 join studies on studies.study_instance_uid = series.study_instance_uid
                 where true"
            }
        });
        if self.level == Level::Study {
            query.push(HAS_SERIES);
        }
        for (attribute, matching) in &self.matching {
            matching.push(query, attribute);
        }
        for (keyword, matching) in &self.requested {
            query.push(concat!(
                " and (select 1 from json_each(",
                request_attributes!(),
                ") as item where "
            ));
            // The keyword is one of ours, never what somebody sent.
            matching.push_on(query, &format!("item.value ->> '$.{keyword}'"), Kind::Text);
            query.push(" limit 1) is not null");
        }
    }
}

impl Catalog {
    /// What a search finds, each as its attributes by keyword, and whether there is more. Those
    /// without a value are not in it. Newest first, as people look for them.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn search(&self, search: &LevelSearch) -> Result<(Vec<Details>, bool), CatalogError> {
        let _turn = self.long_read().await?;
        let order = match search.level {
            Level::Study => "studies.rowid desc",
            Level::Series => "series.rowid desc",
            Level::Instance => "instances.series_instance_uid, instances.added_sequence",
        };
        let mut query = QueryBuilder::new(COLLECT);
        query.push("select json_object(");
        for (index, attribute) in search.attributes.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            query.push(format_args!("{comma}'{}', {}", attribute.keyword, attribute.column));
        }
        query.push(") as row");
        search.push_conditions(&mut query);
        query.push(format_args!(" order by {order} limit "));
        query.push_bind(i64::from(search.limit) + 1);
        query.push(" offset ").push_bind(i64::from(search.offset));
        let mut found: Vec<Details> = self.collect(query).await?;
        let more = found.len() > search.limit as usize;
        found.truncate(search.limit as usize);
        for details in &mut found {
            details.retain(|_, value| !value.is_null() && value != "");
        }
        Ok((found, more))
    }

    /// How many there are that a search finds, wherever it begins. It looks at each.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_found(&self, search: &LevelSearch) -> Result<u64, CatalogError> {
        let _turn = self.long_read().await?;
        let mut query = QueryBuilder::new("select count(*)");
        search.push_conditions(&mut query);
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }
}

/// The attributes of a level.
pub fn attributes_of(level: Level) -> impl Iterator<Item = &'static Attribute> {
    ATTRIBUTES.iter().filter(move |attribute| attribute.level == level)
}
