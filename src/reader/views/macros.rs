//! What the views of a reader have in common: macros, since a public trait would be one more name to import.

/// How a view is read: `next`, `try_next`, and [`Stream`](futures_lite::Stream).
macro_rules! consume {
    ($(#[$attribute:meta])* impl[$($generics:tt)*] $view:ty => $item:ty) => {
        $(#[$attribute])*
        impl<$($generics)*> $view {
            /// The next item, or `None` at the end.
            ///
            /// A live reader waits as long as necessary, also during outages.
            ///
            /// # Errors
            ///
            /// The failure that ended the reader. Its [kind](crate::Error::kind) says which, and
            /// [`Error::offset`](crate::Error::offset) where. Failures that a retry overcomes are not returned.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future loses nothing; the next call continues with the response in flight.
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

/// A view of single items: [`consume`], and the same items with the position after each.
macro_rules! view {
    (impl[$($generics:tt)*] $view:ty => $item:ty) => {
        $crate::reader::views::macros::consume!(impl[$($generics)*] $view => $item);
        $crate::reader::views::macros::consume!(
            impl[$($generics)*] $crate::reader::views::with_checkpoints::WithCheckpoints<$view>
                => ($item, $crate::checkpoint::Checkpoint)
        );

        impl<$($generics)*> $view {
            /// The same items, each with the position after it, to be saved once the item is processed.
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

/// The status of a view, and how its checkpoint is saved.
macro_rules! status {
    (impl[$($generics:tt)*] $view:ty) => {
        impl<$($generics)*> $view {
            /// Whether everything was read that the server had when it last responded.
            #[must_use]
            pub fn is_up_to_date(&self) -> bool {
                self.reader().status().up_to_date
            }

            /// Whether the stream is closed, and all of it was read.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.reader().status().closed
            }

            /// The stream's content type.
            #[must_use]
            pub fn content_type(&self) -> &str {
                self.reader().status().content_type
            }

            /// The entity tag of the first response, for
            /// [`if_none_match`](crate::ReaderBuilder::if_none_match). Responses to live requests have none.
            #[must_use]
            pub fn etag(&self) -> Option<&str> {
                self.reader().status().etag
            }

            /// Saves the [checkpoint](Self::checkpoint) in the reader's
            /// [store](crate::ReaderBuilder::checkpoint_store). Call it once everything up to there is processed.
            ///
            /// # Errors
            ///
            /// [`StreamError::CheckpointStore`](crate::StreamError::CheckpointStore) if it cannot be saved;
            /// [`StreamError::Config`](crate::StreamError::Config) if the reader has no store.
            ///
            /// # Cancel safety
            ///
            /// After the future was dropped, the checkpoint may or may not be saved.
            pub async fn acknowledge(&mut self) -> Result<(), $crate::error::Error> {
                let saving = self.reader().save(self.checkpoint());
                saving.await
            }

            /// Like [`acknowledge`](Self::acknowledge), with an earlier checkpoint.
            ///
            /// # Errors
            ///
            /// As for [`acknowledge`](Self::acknowledge).
            ///
            /// # Cancel safety
            ///
            /// As for [`acknowledge`](Self::acknowledge).
            pub async fn acknowledge_up_to(&mut self, checkpoint: &$crate::checkpoint::Checkpoint) -> Result<(), $crate::error::Error> {
                let saving = self.reader().save(checkpoint.clone());
                saving.await
            }

            /// Ends the reader and cancels the request in flight, as dropping it does.
            pub fn close(self) {}
        }
    };
}
pub(in crate::reader) use status;
