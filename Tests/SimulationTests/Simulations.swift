import Testing

/// Tests that simulate whole fleets. One at a time: each holds a thread for seconds on end, and with all of them held,
/// tests that wait for a socket would time out.
@Suite(.serialized) struct Simulations {}
