//! What the typed views have in common.

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use std::fmt;
use std::task::{Context, Poll, ready};

/// A sequence of items, each with the position after it.
pub trait View: Unpin {
    /// What comes.
    type Item;

    /// The next item.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Self::Item, Error>>>;

    /// The position after the last one.
    fn position(&self) -> Checkpoint;
}

/// The methods by which a view is read: `next`, `try_next`, and [`Stream`](futures_lite::Stream).
macro_rules! consume {
    ($(#[$attribute:meta])* impl[$($generics:tt)*] $view:ty => $item:ty) => {
        $(#[$attribute])*
        impl<$($generics)*> $view {
            /// The next item, or `None` at the end.
            ///
            /// A live reader waits here for as long as it takes, through outages too.
            ///
            /// # Errors
            ///
            /// As an item: the failure that ended the reader. Its [kind](crate::Error::kind) says which, and
            /// [`Error::offset`](crate::Error::offset) where. Failures that pass are not seen here.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future loses nothing; the next call goes on with what is under way.
            pub async fn next(&mut self) -> Option<Result<$item, $crate::Error>> {
                std::future::poll_fn(|cx| self.poll(cx)).await
            }

            /// The next item, or `None` at the end: [`next`](Self::next) for use with `?`.
            ///
            /// # Errors
            ///
            /// The failure that ended the reader.
            ///
            /// # Cancel safety
            ///
            /// As for [`next`](Self::next).
            pub async fn try_next(&mut self) -> Result<Option<$item>, $crate::Error> {
                self.next().await.transpose()
            }
        }

        $(#[$attribute])*
        impl<$($generics)*> futures_lite::Stream for $view {
            type Item = Result<$item, $crate::Error>;

            fn poll_next(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                self.poll(cx)
            }
        }
    };
}
pub(in crate::reader) use consume;

/// A view of single items: it can be [consumed](consume), and gives them with the position after each too.
macro_rules! view {
    (impl[$($generics:tt)*] $view:ty => $item:ty) => {
        $crate::reader::views::macros::consume!(impl[$($generics)*] $view => $item);

        impl<$($generics)*> $view {
            /// The same items, each with the position after it: what to save once the item is processed.
            #[must_use]
            pub fn with_checkpoints(self) -> $crate::WithCheckpoints<Self> {
                $crate::WithCheckpoints::new(self)
            }
        }

        impl<$($generics)*> $crate::reader::views::macros::View for $view {
            type Item = $item;

            fn poll(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<Self::Item, $crate::Error>>> {
                <$view>::poll(self, cx)
            }

            fn position(&self) -> $crate::Checkpoint {
                self.checkpoint()
            }
        }
    };
}
pub(in crate::reader) use view;

/// What every view can tell.
macro_rules! status {
    (impl[$($generics:tt)*] $view:ty) => {
        impl<$($generics)*> $view {
            /// Whether the server said, at the last look, that all it has was read.
            #[must_use]
            pub fn is_up_to_date(&self) -> bool {
                self.source().status().up_to_date
            }

            /// Whether the stream has ended, and all of it was read.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.source().status().closed
            }

            /// The stream's content type.
            #[must_use]
            pub fn content_type(&self) -> &str {
                self.source().status().content_type
            }

            /// The entity tag of the first answer, for
            /// [`if_none_match`](crate::ReaderBuilder::if_none_match). Live requests have none.
            #[must_use]
            pub fn etag(&self) -> Option<&str> {
                self.source().status().etag
            }

            /// Says that all that was handed out is dealt with: saves the [checkpoint](Self::checkpoint) in the
            /// reader's [store](crate::ReaderBuilder::checkpoint_store).
            ///
            /// # Errors
            ///
            /// [`StreamError::CheckpointStore`](crate::StreamError::CheckpointStore) when it cannot be saved;
            /// [`StreamError::Config`](crate::StreamError::Config) where the reader has no store.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future leaves open whether it is saved.
            pub async fn acknowledge(&mut self) -> Result<(), $crate::Error> {
                let saving = self.source().save(self.checkpoint());
                saving.await
            }

            /// Like [`acknowledge`](Self::acknowledge), for what was handed out up to `checkpoint`.
            ///
            /// # Errors
            ///
            /// As for [`acknowledge`](Self::acknowledge).
            ///
            /// # Cancel safety
            ///
            /// As for [`acknowledge`](Self::acknowledge).
            pub async fn acknowledge_up_to(&mut self, checkpoint: &$crate::Checkpoint) -> Result<(), $crate::Error> {
                let saving = self.source().save(checkpoint.clone());
                saving.await
            }

            /// Ends the reader and cancels what is under way, as dropping it does.
            pub fn close(self) {}
        }
    };
}
pub(in crate::reader) use status;

/// The items of a view, each with the position after it.
///
/// From `with_checkpoints()` of a view. A [`Stream`](futures_lite::Stream) of pairs.
pub struct WithCheckpoints<V> {
    view: V,
}

impl<V> WithCheckpoints<V> {
    pub(in crate::reader) fn new(view: V) -> Self {
        Self { view }
    }

    /// The view itself.
    #[must_use]
    pub fn get_ref(&self) -> &V {
        &self.view
    }

    /// The view itself, to [acknowledge](crate::JsonStream::acknowledge) by.
    pub fn get_mut(&mut self) -> &mut V {
        &mut self.view
    }

    /// The view itself.
    #[must_use]
    pub fn into_inner(self) -> V {
        self.view
    }
}

impl<V: View> WithCheckpoints<V> {
    #[expect(clippy::type_complexity, reason = "it is what a stream of pairs polls to")]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(V::Item, Checkpoint), Error>>> {
        let item = ready!(self.view.poll(cx));
        Poll::Ready(item.map(|item| item.map(|item| (item, self.view.position()))))
    }
}

consume!(impl[V: View] WithCheckpoints<V> => (V::Item, Checkpoint));

impl<V: fmt::Debug> fmt::Debug for WithCheckpoints<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithCheckpoints").field(&self.view).finish()
    }
}
