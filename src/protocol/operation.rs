//! The operations of the protocol (§5).

/// An operation of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Append,
    Close,
    Head,
    Delete,
    Read,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Close => "close",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::Read => "read",
        }
    }
}
