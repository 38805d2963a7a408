//! Where the bytes of instances go beside their events. A store of instances becomes a variant of [`Sink`];
//! decision 0027 lists what it adds, and where.

/// Where the bytes of an instance go, as they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Nowhere: the event is all that is kept of an instance.
    None,
}

impl Sink {
    /// Whether it takes every byte of a data set. If not, the kernel may drop pixel data unread.
    #[must_use]
    pub(crate) fn wants_every_byte(self) -> bool {
        match self {
            Self::None => false,
        }
    }
}
