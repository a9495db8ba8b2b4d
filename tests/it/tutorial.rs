//! `docs/tutorial.md` answers each question of a quiz by a command. (`readme` runs all of its commands, and compares what they
//! print.)

/// The block of each question, from its number on, and a line of its answer.
const ANSWERS: [&str; 6] = [
    "the same",
    "RNN(10, 20), tanh, f32, 640 parameters",
    "output   [4, 7, 3] batch 4, seq_len 7, hidden_size 3     f32  q3-output.npy",
    "rnn: q4.npy: input: expected 8 features (input_size) on the last axis, got 10 in shape [3, 5, 10]",
    "  first difference at [0, 1, 0]: -0.6434025, expected -0.28646186",
    "h[3] = tanh(W_ih x[3] + b_ih + W_hh h_0 + b_hh)",
];

/// The layers and arguments of the texts that the tutorial follows.
const EXAMPLES: [&str; 6] = [
    "nn.RNN(input_size=10, hidden_size=20)",
    "nn.RNN(5, 15, num_layers=2, batch_first=True)",
    "nn.RNN(8, 12, nonlinearity='relu', bidirectional=True)",
    "nn.RNN(3, 5, num_layers=1, batch_first=True)",
    "nn.RNN(10, 20, 2)",
    "pack_padded_sequence",
];

#[test]
fn every_question_has_a_command_and_its_answer() {
    let page = include_str!("../../docs/tutorial.md");
    let (lessons, quiz) = page.split_once("## The questions of the quizzes\n").unwrap();
    for example in EXAMPLES {
        assert!(page.contains(example), "{example}");
    }
    let questions: Vec<_> = quiz.split("\n**").skip(1).collect();
    assert_eq!(questions.len(), ANSWERS.len());
    for (number, (question, answer)) in (1..).zip(questions.iter().zip(ANSWERS)) {
        assert!(question.starts_with(&format!("{number}. ")), "{question}");
        assert!(question.contains("\n$ rnn "), "{question}");
        assert!(question.lines().any(|line| line == answer), "{question}");
    }
    assert_eq!(lessons.matches("\n## ").count(), 7);
}
