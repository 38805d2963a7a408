//! One thing as it is answered, with the entity tag by which a client asks whether it has changed
//! (RFC 9110 sections 8.8.3 and 13.1.2).

use crate::http::parameters::Tags;
use crate::http::problem::Problem;
use catalog::CatalogError;
use serde::Serialize;

/// Bytes of the hash that an entity tag shows.
const TAG_LENGTH: usize = 16;

/// The entity tag of what is answered: of its content, so that it lasts through restarts.
///
/// # Errors
/// When it can't be written as JSON.
pub fn tag(content: &impl Serialize) -> Result<String, Problem> {
    let json = serde_json::to_vec(content)
        .map_err(|error| Problem::from(CatalogError::Unreadable(error.to_string())))?;
    let hash = blake3::hash(&json).to_hex();
    Ok(format!("\"{}\"", &hash[..2 * TAG_LENGTH]))
}

/// Whether a client has what the tag stands for.
#[must_use]
pub fn is_known(known: Option<&Tags>, tag: &str) -> bool {
    let Some(Tags(known)) = known else { return false };
    known.split(',').map(str::trim).any(|known| {
        // The comparison is weak: a proxy may have made ours so.
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_itself_in_a_list_weakly_and_by_a_star() {
        let tag = tag(&["content"]).unwrap();
        for known in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            assert!(is_known(Some(&Tags(known)), &tag));
        }
        assert!(!is_known(Some(&Tags("\"x\"".to_owned())), &tag));
        assert!(!is_known(None, &tag));
        assert_ne!(tag, super::tag(&["other"]).unwrap());
    }
}
