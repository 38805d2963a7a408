//! WADO-RS under `/dicom-web` (PS3.18 section 10.4): the files of the instance store, their metadata, frames and bulk data, as they
//! are stored, and images of them.
//!
//! A client that takes its time costs a chunk of each step, and one that goes away frees all: everything is a stream that
//! is read as it is taken.

pub(crate) mod accept;
mod chunks;
mod extents;
mod failure;
mod images;
mod instances;
mod metadata;
mod parts;
mod ranges;
mod resources;
pub(crate) mod urls;
mod zip;

use crate::dicomweb::qido::{self, ROOT};
use crate::http::problem::Problem;
use catalog::{CatalogReader, StoredInstance};
use contract::dicomweb::DicomwebUrls;
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use failure::Failure;
use images::Renders;
use instances::{Survey, Target};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use std::collections::HashMap;
use store::{Object, ObjectError, Objects};
use url::Url;
use urls::urls_of;

/// What is retrieved from: nothing without an instance store. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct InstanceStore {
    objects: Option<Objects>,
    public_url: Option<Url>,
    renders: Renders,
}

impl InstanceStore {
    /// With the objects of a store, if there is one, and the URL by which clients reach the API, if that is known.
    #[must_use]
    pub fn new(objects: Option<Objects>, public_url: Option<Url>) -> Self {
        Self { objects, public_url, renders: Renders::default() }
    }

    /// Where things are for the client of a request, if anything can be retrieved.
    pub(crate) fn urls(&self, request: &Request) -> Option<DicomwebUrls> {
        self.objects.as_ref().map(|_| urls_of(request, self.public_url.as_ref()))
    }
}

/// What is retrieved of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Their files.
    Instances,
    /// Their data sets without bulk data.
    Metadata,
    /// Frames of one.
    Frames,
    /// The value of an element of one.
    BulkData,
    /// An image of one, or of a frame of one.
    Rendered,
    /// A small image that stands for them.
    Thumbnail,
}

/// One of the resources.
pub(crate) struct Retrieve {
    pub(crate) catalog: CatalogReader,
    pub(crate) store: InstanceStore,
    pub(crate) resource: Resource,
}

/// A request that was understood, with what there is for it.
struct Retrieval<'a> {
    request: &'a Request,
    catalog: &'a CatalogReader,
    objects: &'a Objects,
    urls: DicomwebUrls,
    target: Target,
    survey: Survey,
}

impl Endpoint for Retrieve {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if let Some(refused) = qido::refuse_to_write(&request) {
            return Ok(refused);
        }
        let mut response = match self.answer(&request).await {
            Ok(response) => response,
            Err(problem) => return Ok(problem.into_response()),
        };
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        Ok(response)
    }
}

impl Retrieve {
    async fn answer(&self, request: &Request) -> Result<Response, Problem> {
        let Some(objects) = &self.store.objects else {
            return Err(Problem::not_found(
                "nothing can be retrieved: the API has no instance store (STORE_URL)",
            ));
        };
        let mut named = request.path_params::<HashMap<String, String>>().unwrap_or_default();
        let study = named.remove("study").unwrap_or_default();
        let study = StudyInstanceUid::parse(&study).map_err(|_| no_instances())?;
        let target =
            Target { study, series: named.remove("series"), instance: named.remove("instance") };
        let survey = Survey::of(&self.catalog, &target).await?;
        if survey.catalogued == 0 {
            return Err(self.absent(&target).await?);
        }
        if survey.kept == 0 {
            let detail = "the catalogue has this, and the instance store has no file of it: it was \
                          received without STORE_URL";
            return Err(Problem::not_found(detail));
        }
        let urls = urls_of(request, self.store.public_url.as_ref());
        let is_partial = survey.kept < survey.catalogued;
        let missing = survey.catalogued - survey.kept;
        let retrieval =
            Retrieval { request, catalog: &self.catalog, objects, urls, target, survey };
        let parameter = |name: &str| named.get(name).map_or("", String::as_str);
        let frame = named.get("frames").map(String::as_str);
        let renders = &self.store.renders;
        let mut response = match self.resource {
            Resource::Instances => retrieval.instances().await,
            Resource::Metadata => retrieval.metadata().await,
            Resource::Frames => retrieval.frames(parameter("frames")).await,
            Resource::BulkData => retrieval.bulk_data(parameter("path")).await,
            Resource::Rendered => return retrieval.rendered(frame, renders).await,
            // One stands for all: nothing of it is missing.
            Resource::Thumbnail => return retrieval.thumbnail(frame, renders).await,
        }?;
        if is_partial && response.status() == StatusCode::OK {
            // Some, but not all (PS3.18 section 10.4.3).
            response.set_status(StatusCode::PARTIAL_CONTENT);
            let warning =
                format!("299 collimator: {missing} instances have no file and are left out");
            if let Ok(warning) = HeaderValue::from_str(&warning) {
                response.headers_mut().insert(header::WARNING, warning);
            }
        }
        Ok(response)
    }

    /// Why nothing is known of a target.
    async fn absent(&self, target: &Target) -> Result<Problem, Problem> {
        if let Some(series) = &target.series
            && let Ok(series) = SeriesInstanceUid::parse(series)
            && self.catalog.state_of(&series).await?.is_none()
            && self.catalog.deleted_at(&series).await?.is_some()
        {
            return Ok(Problem::new(StatusCode::GONE, "the series was deleted"));
        }
        Ok(no_instances())
    }
}

fn no_instances() -> Problem {
    Problem::not_found("the catalogue has no such instances")
}

/// Opens the file of an instance.
async fn open(objects: &Objects, instance: &StoredInstance) -> Result<Object, Failure> {
    let Some(object) = instance.object() else {
        let key = String::new();
        return Err(Failure::Object { error: ObjectError::Missing, key });
    };
    let (key, bytes) = (object.key, object.bytes);
    objects.object(&key, bytes).await.map_err(|error| Failure::Object { error, key })
}

/// A path of a resource of WADO-RS, as far as the audit trail is concerned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RetrievedPath<'a> {
    /// The study.
    pub(crate) study: &'a str,
    /// The path of the series, or of the study where no series is named: viewers read a series frame by frame.
    pub(crate) path: &'a str,
}

impl<'a> RetrievedPath<'a> {
    /// That of a path, if it is one.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(ROOT)?.strip_prefix("/studies/")?;
        let names: Vec<&str> = rest.split('/').collect();
        let (study, within) = names.split_first()?;
        let series = match within {
            [] | ["metadata" | "thumbnail"] => None,
            ["series", series] | ["series", series, "metadata" | "thumbnail"] => Some(series),
            ["series", series, "instances", _, ..] => Some(series),
            _ => return None,
        };
        let study_path = path.len() - rest.len() + study.len();
        let end = series.map_or(study_path, |series| study_path + "/series/".len() + series.len());
        (!study.is_empty()).then(|| Self { study, path: &path[..end] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retrieval_is_told_from_a_search_by_its_path() {
        let of = |path: &'static str| RetrievedPath::of(path).map(|it| (it.study, it.path));
        let study = Some(("1.2", "/dicom-web/studies/1.2"));
        assert_eq!(of("/dicom-web/studies/1.2"), study);
        assert_eq!(of("/dicom-web/studies/1.2/metadata"), study);
        assert_eq!(of("/dicom-web/studies/1.2/thumbnail"), study);
        let series = Some(("1.2", "/dicom-web/studies/1.2/series/3"));
        for path in [
            "/dicom-web/studies/1.2/series/3",
            "/dicom-web/studies/1.2/series/3/metadata",
            "/dicom-web/studies/1.2/series/3/thumbnail",
            "/dicom-web/studies/1.2/series/3/instances/4",
            "/dicom-web/studies/1.2/series/3/instances/4/rendered",
            "/dicom-web/studies/1.2/series/3/instances/4/frames/1,2",
            "/dicom-web/studies/1.2/series/3/instances/4/bulkdata/00081115/1/00080018",
        ] {
            assert_eq!(of(path), series, "{path}");
        }
        for path in [
            "/dicom-web/studies",
            "/dicom-web/studies/",
            "/dicom-web/studies/1.2/series",
            "/dicom-web/studies/1.2/instances",
            "/dicom-web/studies/1.2/series/3/instances",
            "/dicom-web/series",
            "/studies/1.2",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
