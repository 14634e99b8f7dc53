//! The Go program that renders the expected results.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealed_secrets_core::template::Data;
use sealed_secrets_tests::programs;

pub(crate) struct Oracle {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(serde::Serialize)]
struct Question {
    template: String,
    data: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct RawAnswer {
    ok: bool,
    output: Option<String>,
    error: String,
}

pub(crate) struct Answer {
    pub(crate) ok: bool,
    pub(crate) output: Vec<u8>,
    pub(crate) error: String,
}

impl Oracle {
    pub(crate) fn start() -> Self {
        let program = programs::template_oracle().unwrap();
        let mut process = Command::new(program)
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let questions = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    pub(crate) fn ask(&mut self, template: &str, data: &Data) -> Answer {
        let data = data.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value.as_slice()))).collect();
        let question = Question { template: STANDARD.encode(template), data };
        let mut line = serde_json::to_string(&question).unwrap();
        line.push('\n');
        self.questions.write_all(line.as_bytes()).unwrap();
        let mut reply = String::new();
        self.answers.read_line(&mut reply).unwrap();
        let reply: RawAnswer = serde_json::from_str(&reply).unwrap();
        let output = STANDARD.decode(reply.output.unwrap_or_default()).unwrap();
        Answer { ok: reply.ok, output, error: reply.error }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
