# Run by root on an instance, by Systems Manager: starts the agent anew unless it was started with the bundle that the
# stack names. What it runs is then given back to the queue.
set -eu
. /etc/annapurna/agent.env
wanted=$(aws ssm get-parameter --region "$AWS_REGION" --name "$AGENT_BUNDLE_PARAMETER" \
    --query Parameter.Value --output text)
if [ "$wanted" = "$(cat /opt/annapurna/current/source)" ]; then
    echo "the agent has $wanted"
else
    echo "the agent restarts with $wanted"
    systemctl restart annapurna-agent
fi
