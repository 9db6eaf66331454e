//! The way's answers, the clock, and whose credentials these are: what takes a server of its own kind.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use dbbackup::embedded::{Fault, Op, Rule};

use super::{advice, closed_to_others, good, is, line, lines, lines_under, seen};
use crate::support::world::World;

fn uploaders() -> World {
    let world = good();
    world.faults().write_only();
    world
}

#[test]
fn a_slow_answer_is_told() {
    let world = uploaders();
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_millis(600))).on(Op::HeadBucket));
    let lines = lines(&world, 0);
    is(&lines, "answer", "warn");
    assert!(advice(&lines, "answer").contains("concurrency"), "{lines:#?}");
}

#[test]
fn a_clock_some_minutes_off_is_told() {
    let world = uploaders();
    world.faults().add(Rule::new(Fault::DateOff { seconds: 300 }).on(Op::HeadBucket).times(1));
    let lines = lines(&world, 0);
    is(&lines, "clock", "warn");
    // The request took a moment.
    assert!(["5 min", "4 min"].contains(&&seen(&lines, "clock")[..5]), "{lines:#?}");
    assert!(seen(&lines, "clock").ends_with("behind the server's clock"), "{lines:#?}");
}

#[test]
fn a_server_that_tells_no_time_leaves_the_clock_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            // A request may come in pieces; the reply is the same.
            let _length = stream.read(&mut request);
            let _gone =
                stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let world = uploaders();
    let server = world.server.addr().port();
    world.configure(|text| text.replace(&format!(":{server}"), &format!(":{port}")));
    closed_to_others(&world);
    let lines = lines(&world, 1);
    is(&lines, "clock", "unknown");
    is(&lines, "answer", "ok");
    is(&lines, "can upload", "fail");
}

/// What STS answers to whoever asks who it is.
fn sts(world: &World, arn: &str) {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>AIDAEXAMPLE</UserId><Account>111122223333</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    world.faults().add(Rule::new(Fault::Say { status: 200, body }).on(Op::Other));
}

#[test]
fn the_caller_is_who_sts_says() {
    for (arn, outcome, code) in [
        ("arn:aws:sts::111122223333:assumed-role/uploader/db1", "ok", 0),
        ("arn:aws:iam::111122223333:root", "fail", 1),
    ] {
        let world = uploaders();
        sts(&world, arn);
        let url = world.server.endpoint_url();
        let lines = lines_under(&world, code, &[("AWS_ENDPOINT_URL_STS", &url)]);
        is(&lines, "caller", outcome);
        assert_eq!(seen(&lines, "caller"), arn);
    }
    let world = uploaders();
    let url = world.server.endpoint_url();
    let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    world.faults().add(Rule::new(Fault::Say { status: 403, body: body.to_owned() }).on(Op::Other));
    let refused = lines_under(&world, 0, &[("AWS_ENDPOINT_URL_STS", &url)]);
    is(&refused, "caller", "unknown");
    assert!(seen(&refused, "caller").starts_with("STS does not say: AccessDenied"), "{refused:#?}");
    is(&lines(&world, 0), "caller", "unknown");
}

#[test]
fn credentials_that_end_soon_are_told() {
    for (minutes, outcome) in [(10, "warn"), (50, "ok")] {
        let world = uploaders();
        let ends = chrono::Utc::now() + chrono::TimeDelta::minutes(minutes);
        let keys = serde_json::json!({
            "Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": "t",
            "Expiration": ends.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        let helper = world.write("keys.json", keys.to_string());
        world.write(
            ".aws/config",
            format!("[profile night]\ncredential_process = cat {}\n", helper.display()),
        );
        world.configure(|text| {
            text.replace("path_style = true\n", "path_style = true\nprofile = \"night\"\n")
        });
        closed_to_others(&world);
        let lines = lines(&world, 0);
        is(&lines, "credentials", outcome);
        assert!(seen(&lines, "credentials").contains("expires in"), "{lines:#?}");
    }
}

#[test]
fn an_error_in_place_of_a_refusal_is_no_refusal() {
    let world = good();
    for op in [Op::GetObject, Op::ListObjectsV2, Op::DeleteObject] {
        world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(op));
    }
    // The first is the conditional one.
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::PutObject).after(1));
    let lines = lines(&world, 0);
    for what in ["cannot read", "cannot list", "cannot overwrite", "cannot delete", "cannot delete versions"]
    {
        is(&lines, what, "unknown");
        assert!(advice(&lines, what).contains("does not count as one"), "{}", line(&lines, what));
    }
    is(&lines, "conditional writes", "ok");
}

#[test]
fn rates_that_cannot_be_measured_say_why() {
    let speed = |world: &World, code| {
        let output = world.run(&["check", "--json", "--speed"]).exits(code);
        output.json()["lines"].as_array().unwrap().clone()
    };
    let world = good();
    let lines = speed(&world, 1);
    is(&lines, "upload rate", "ok");
    is(&lines, "download rate", "unknown");
    assert!(advice(&lines, "download rate").contains("after the first backup"), "{lines:#?}");
    world.faults().deny(Op::ListObjectsV2);
    // Begun twice by the probe.
    let denied = Fault::Answer { status: 403, code: "AccessDenied" };
    world.faults().add(Rule::new(denied).on(Op::CreateMultipartUpload).key("-speed"));
    let lines = speed(&world, 1);
    for (what, permission) in [("upload rate", "s3:PutObject"), ("download rate", "s3:GetObject")] {
        is(&lines, what, "unknown");
        assert_eq!(line(&lines, what)["missing_permission"], permission);
    }
}
