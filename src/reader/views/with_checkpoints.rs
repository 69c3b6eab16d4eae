use std::fmt;

/// The items of a view, each with the position after it.
///
/// From `with_checkpoints()` of a view. It has the view's `next` and `try_next`, and is a
/// [`Stream`](futures_lite::Stream) of pairs.
///
/// A struct that holds one needs no type parameters: [`to_any`](crate::ChunkIterator::to_any) removes those of the stack.
///
#[cfg_attr(all(feature = "tokio", feature = "json"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "tokio", feature = "json")), doc = "```ignore")]
/// use durable_streams::{Checkpoint, Error, JsonStream, WithCheckpoints};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     id: u64,
/// }
///
/// struct Orders {
///     reader: WithCheckpoints<JsonStream<Order>>,
/// }
///
/// impl Orders {
///     async fn open(stream: &durable_streams::tokio::DurableStream, saved: Checkpoint) -> Result<Self, Error> {
///         let reader = stream.reader().offset(saved).json::<Order>().await?;
///         Ok(Self { reader: reader.to_any().with_checkpoints() })
///     }
///
///     async fn next(&mut self) -> Result<Option<(Order, Checkpoint)>, Error> {
///         self.reader.try_next().await
///     }
/// }
/// # let _ = (Orders::open, Orders::next, |order: Order| order.id);
/// ```
pub struct WithCheckpoints<V> {
    pub(super) view: V,
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

    /// The view itself, to [acknowledge](crate::ChunkIterator::acknowledge) by.
    pub fn get_mut(&mut self) -> &mut V {
        &mut self.view
    }

    /// The view itself.
    #[must_use]
    pub fn into_inner(self) -> V {
        self.view
    }
}

impl<V: fmt::Debug> fmt::Debug for WithCheckpoints<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithCheckpoints").field(&self.view).finish()
    }
}
