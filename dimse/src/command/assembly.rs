//! A command set put together from its fragments (PS3.8 annex E.1).

use super::MAX_COMMAND_LENGTH;

/// The command set that is being received.
#[derive(Debug)]
pub struct CommandAssembly {
    context_id: Option<u8>,
    bytes: Vec<u8>,
}

/// A fragment that can't belong to the command set: of another presentation context, or longer than any command set
/// is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fragment does not belong to the command set")]
pub struct UnexpectedFragment;

impl Default for CommandAssembly {
    fn default() -> Self {
        Self { context_id: None, bytes: Vec::with_capacity(256) }
    }
}

impl CommandAssembly {
    /// Whether a fragment has come, though it may have had no bytes.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.context_id.is_some()
    }

    /// Whether no bytes have come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a fragment; with the last one it returns the whole command set and is ready for another.
    ///
    /// # Errors
    /// When the fragment can't belong to the command set.
    pub fn push(
        &mut self,
        context_id: u8,
        fragment: &[u8],
        last: bool,
    ) -> Result<Option<Vec<u8>>, UnexpectedFragment> {
        let belongs = self.context_id.is_none_or(|id| id == context_id);
        if !belongs || self.bytes.len() + fragment.len() > MAX_COMMAND_LENGTH {
            return Err(UnexpectedFragment);
        }
        self.context_id = Some(context_id);
        self.bytes.extend_from_slice(fragment);
        Ok(last.then(|| std::mem::take(self).bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_set_is_whole_with_its_last_fragment() {
        let mut assembly = CommandAssembly::default();
        assert_eq!(assembly.push(1, b"com", false), Ok(None));
        assert_eq!(assembly.push(1, b"", false), Ok(None));
        assert_eq!(assembly.push(1, b"mand", true), Ok(Some(b"command".to_vec())));
        assert!(!assembly.has_begun());
        assert_eq!(assembly.push(3, b"next", true), Ok(Some(b"next".to_vec())));
    }

    #[test]
    fn fragments_of_two_contexts_and_more_than_there_can_be_are_refused() {
        let mut assembly = CommandAssembly::default();
        assert_eq!(assembly.push(1, b"", false), Ok(None));
        assert!(assembly.has_begun() && assembly.is_empty());
        assert_eq!(assembly.push(3, b"", false), Err(UnexpectedFragment));
        assert_eq!(assembly.push(1, &[0; MAX_COMMAND_LENGTH], false), Ok(None));
        assert_eq!(assembly.push(1, &[0], true), Err(UnexpectedFragment));
    }
}
