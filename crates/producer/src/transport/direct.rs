//! Publishing straight into a backplane: one call per attempt.

use crate::pipeline::{Answer, Attempt};
use crate::random;
use tally_backplane::{Backplane, Publish, PublishError, Refusal};
use tally_protocol::Epoch;

pub(super) async fn send(backplane: &dyn Backplane, attempt: &Attempt) -> Answer {
    let epoch = format!("{:016x}", random::draw());
    let publish = Publish {
        channel: attempt.ticket.channel.clone(),
        content: (*attempt.content).clone(),
        batch: Some(attempt.batch.clone()),
        epoch: Epoch::new(&epoch).expect("16 hexadecimal digits are an epoch"),
    };
    match backplane.publish(publish).await {
        Ok(published) => Answer::Published(published),
        Err(PublishError::Unavailable(message)) => {
            Answer::Unavailable { message: message.into(), retry_after: None }
        }
        Err(PublishError::Unknown(message)) => Answer::Perhaps { message: message.into() },
        Err(PublishError::Refused(refusal)) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let message = refusal.to_string().into();
    let code = match refusal {
        Refusal::BatchNumber { .. } | Refusal::ChangedBatch(_) => return Answer::NumberRefused { message },
        Refusal::TooManyProducers(_) => "too_many_producers",
        Refusal::ChannelFull => "channel_full",
        Refusal::TooManyChannels(_) => "too_many_channels",
        Refusal::BrokerFull(_) => "broker_full",
        Refusal::Unusable(_) => "unusable",
    };
    Answer::Refused { code: code.into(), message }
}
