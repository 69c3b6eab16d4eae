//! What the typed views have in common.

use crate::Checkpoint;
use crate::error::Error;
use futures_lite::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A sequence of items, each with the position after it.
pub trait View {
    /// What comes.
    type Item;

    /// The next item.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Self::Item, Error>>>;

    /// The position after the last one.
    fn position(&self) -> Checkpoint;
}

/// Gives a view its inherent methods, which the seed's loops use without importing anything, and `Stream`.
macro_rules! view {
    ([$($generics:tt)*] $view:ty, $item:ty, [$($bounds:tt)*]) => {
        impl<$($generics)*> $view
        where
            $($bounds)*
        {
            /// The next item, or `None` at the end.
            ///
            /// A live reader waits here for as long as it takes, through outages too.
            ///
            /// # Errors
            ///
            /// The failure that ended the reader, as an item. Failures that pass are not seen here.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future loses nothing; the next call goes on with what is under way.
            pub async fn next(&mut self) -> Option<Result<$item, Error>> {
                std::future::poll_fn(|cx| View::poll(self, cx)).await
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
            pub async fn try_next(&mut self) -> Result<Option<$item>, Error> {
                self.next().await.transpose()
            }

            /// The position after the last item that was handed out.
            #[must_use]
            pub fn checkpoint(&self) -> Checkpoint {
                View::position(self)
            }

            /// The same items, each with the position after it: what to save once the item is processed.
            #[must_use]
            pub fn with_checkpoints(self) -> WithCheckpoints<Self> {
                WithCheckpoints::new(self)
            }
        }

        impl<$($generics)*> Stream for $view
        where
            $($bounds)*
        {
            type Item = Result<$item, Error>;

            fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                View::poll(&mut *self, cx)
            }
        }
    };
}
pub(super) use view;

/// The items of a view, each with the position after it.
///
/// From `with_checkpoints()` of a view. A [`Stream`] of pairs.
pub struct WithCheckpoints<V> {
    view: V,
}

impl<V> WithCheckpoints<V> {
    pub(super) fn new(view: V) -> Self {
        Self { view }
    }

    /// The view itself.
    #[must_use]
    pub fn into_inner(self) -> V {
        self.view
    }
}

type Pair<V> = (<V as View>::Item, Checkpoint);

impl<V: View> WithCheckpoints<V> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Pair<V>, Error>>> {
        let item = std::task::ready!(self.view.poll(cx));
        Poll::Ready(item.map(|item| item.map(|item| (item, self.view.position()))))
    }

    /// The next item and the position after it, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader, as an item.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<(V::Item, Checkpoint), Error>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The next item and the position after it, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The failure that ended the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn try_next(&mut self) -> Result<Option<(V::Item, Checkpoint)>, Error> {
        self.next().await.transpose()
    }
}

impl<V: View + Unpin> Stream for WithCheckpoints<V> {
    type Item = Result<(V::Item, Checkpoint), Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl<V: fmt::Debug> fmt::Debug for WithCheckpoints<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithCheckpoints").field(&self.view).finish()
    }
}
