//! Target for the whole router, in both modes: sends a sequence of generated requests and checks
//! every response against the OpenAPI document.

use arbitrary::{Arbitrary as _, Unstructured};
use axum::body::Body;
use axum::http::Request;

use crate::FuzzTarget;
use crate::request_sequence::RequestSequence;
use crate::service::Service;

/// The most requests of one input.
const MAX_REQUESTS: usize = 12;

pub(crate) fn prepare() -> FuzzTarget {
    let services = [false, true].map(Service::start);
    let operations = operations(&services[0]);
    Box::new(move |data| {
        let Ok(sequence) = RequestSequence::arbitrary_take_rest(Unstructured::new(data)) else {
            return;
        };
        let service = &services[usize::from(sequence.is_reference_mode)];
        service.reset();
        for request in sequence.requests.iter().take(MAX_REQUESTS) {
            if let Some(request) = request.build(service, &operations) {
                service.send(request);
            }
        }
    })
}

/// Returns the method and path of each operation.
fn operations(service: &Service) -> Vec<(String, String)> {
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let document = service.send(request).json();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.trim_end_matches('/');
        let methods = methods.as_object().unwrap().keys();
        operations.extend(methods.map(|method| (method.to_uppercase(), path.to_owned())));
    }
    operations
}
