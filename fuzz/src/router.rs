//! Requests that look like requests, a few in a row, to the whole router in either mode: every answer
//! is one that the document promises.

use arbitrary::{Arbitrary as _, Unstructured};
use axum::http::Method;

use crate::Attack;
use crate::request_sequence::{Call, Scene};
use crate::response_checker::Judge;
use crate::service::Service;

/// Requests of one input that are sent.
const LONGEST: usize = 12;

pub(crate) fn open() -> Attack {
    let services = [false, true].map(Service::start);
    let judge = Judge::of(&services[0]);
    let operations = judge.operations();
    Box::new(move |data| {
        let Ok(scene) = Scene::arbitrary_take_rest(Unstructured::new(data)) else { return };
        let service = &services[usize::from(scene.is_reference)];
        service.reset();
        for call in scene.calls.iter().take(LONGEST) {
            play(service, &judge, &operations, call);
        }
    })
}

fn play(service: &Service, judge: &Judge, operations: &[(String, String)], call: &Call) {
    let Some(request) = call.request(service, operations) else { return };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let asks = |name: &str| request.headers().contains_key(name);
    let is_preflight =
        method == Method::OPTIONS && asks("origin") && asks("access-control-request-method");
    let answer = service.send(request);
    if is_preflight {
        assert_eq!(answer.status, 200, "{answer:?}");
        return;
    }
    judge.check(&method, &path, &answer);
}
