//! What the examining model sees in a program that a person sends: by it a change of prompt or model is measured.

use annapurna_contract::answers::Examined;
use annapurna_contract::events::Examine;
use annapurna_contract::model::PaperText;
use annapurna_contract::plan::Fidelity;
use annapurna_program_check::CODE_LIMIT;
use annapurna_runtime::Ask;
use tokio::time::Instant;

use crate::error::{GeneratorError, NoProgram};
use crate::prompt::{self, Step};
use crate::{Generator, not_an_event};

impl Generator {
    /// Asks as after a program was written; nothing is stored.
    pub(crate) async fn examine(
        &self,
        program: &Examine,
        deadline: Instant,
    ) -> Result<Examined, GeneratorError> {
        if program.code.len() > CODE_LIMIT {
            return Err(GeneratorError::Own(NoProgram::TooLong(program.code.len())));
        }
        let paper = PaperText {
            title: program.title.clone(),
            abstract_text: program.abstract_text.clone(),
            body: String::new(),
        };
        let shared = paper.to_prompt_block().map_err(not_an_event)?;
        let question = prompt::fidelity(&program.plan, &program.code).map_err(not_an_event)?;
        let datasets = self.datasets.catalogue().await?;
        let (tool, beside) = Step::Fidelity.tools(&datasets);
        let ask = Ask {
            model_id: &self.config.examiner_model_id,
            system: &prompt::system(self.backend, &datasets),
            shared: &shared,
            question: &question,
            tool: &tool,
            beside: &beside,
            paper_id: None,
            deadline,
        };
        let n_lines = u32::try_from(program.code.lines().count()).unwrap_or(u32::MAX);
        let check = |seen: &Fidelity| seen.check(&program.plan, n_lines);
        let answer = self.model.ask(&ask, check).await?;
        Ok(Examined {
            fidelity: answer.value,
            spent: answer.spent,
        })
    }
}
