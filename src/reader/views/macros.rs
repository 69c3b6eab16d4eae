//! What the views of a reader have in common: macros, since a public trait would be one more name for users to import.

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
            pub async fn next(&mut self) -> Option<Result<$item, $crate::error::Error>> {
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
            pub async fn try_next(&mut self) -> Result<Option<$item>, $crate::error::Error> {
                self.next().await.transpose()
            }
        }

        $(#[$attribute])*
        impl<$($generics)*> futures_lite::Stream for $view {
            type Item = Result<$item, $crate::error::Error>;

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
        $crate::reader::views::macros::consume!(
            impl[$($generics)*] $crate::reader::views::with_checkpoints::WithCheckpoints<$view>
                => ($item, $crate::checkpoint::Checkpoint)
        );

        impl<$($generics)*> $view {
            /// The same items, each with the position after it: what to save once the item is processed.
            #[must_use]
            pub fn with_checkpoints(self) -> $crate::reader::views::with_checkpoints::WithCheckpoints<Self> {
                $crate::reader::views::with_checkpoints::WithCheckpoints::new(self)
            }
        }

        impl<$($generics)*> $crate::reader::views::with_checkpoints::WithCheckpoints<$view> {
            fn poll(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<($item, $crate::checkpoint::Checkpoint), $crate::error::Error>>> {
                let item = std::task::ready!(self.view.poll(cx));
                std::task::Poll::Ready(item.map(|item| item.map(|item| (item, self.view.checkpoint()))))
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
            pub async fn acknowledge(&mut self) -> Result<(), $crate::error::Error> {
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
            pub async fn acknowledge_up_to(&mut self, checkpoint: &$crate::checkpoint::Checkpoint) -> Result<(), $crate::error::Error> {
                let saving = self.source().save(checkpoint.clone());
                saving.await
            }

            /// Ends the reader and cancels what is under way, as dropping it does.
            pub fn close(self) {}
        }
    };
}
pub(in crate::reader) use status;
