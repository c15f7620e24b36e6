import { ORIGINAL_SERVICES, type OriginalService, type OriginalVariable } from '../../../lib/command/original-services';

const HEAD = `# From the original services

Five services became five flows. Each flow runs with the environment that its service had, apart from what stands here.
The command does the same for a file:

\`\`\`
npx contact-center migrate .env > new.env
\`\`\`

It prints the environment of the flow, secrets included, and says on the standard error what differs and what is left to
fill in. The file is that of a dotenv: \`NAME=value\` lines. Several services in one file are told apart by themselves.

What to do, for each service:

1. Make the new environment, and read what the command says about it.
2. Import the flow, or lay it out with \`npx contact-center flows NAME > flows.json\`, and start Node-RED with that
   environment: \`node --env-file=new.env node_modules/node-red/red.js\`.
3. Stop the service, then start the flow: beside each other they would do the work twice. What comes in between waits in
   Genesys Cloud, Cody and RabbitMQ.
`;

/** The page docs/migration.md. */
export function migrationPage(): string {
  return [HEAD, ...ORIGINAL_SERVICES.map(chapter)].join('\n');
}

function chapter({ flow, title, variables, additions, differences }: OriginalService): string {
  const kept = Object.entries(variables).filter(([, { dropped }]) => dropped === undefined);
  const changed = kept.filter(([, variable]) => becomesOf(variable) !== '');
  const unchanged = kept.filter(([, variable]) => becomesOf(variable) === '').map(([name]) => `\`${name}\``);
  const rows = [
    ...changed.map(([name, variable]) => [`\`${name}\``, becomesOf(variable)]),
    ...Object.entries(variables).flatMap(([name, { dropped }]) =>
      dropped === undefined ? [] : [[`\`${name}\``, `left out. ${dropped}`]],
    ),
    ...additions.map(({ name, value, note }) => [
      `\`${name}\``,
      `new${value ? `, \`${value}\`` : ', to fill in'}: ${note}`,
    ]),
  ];
  return [
    `## ${title} → ${flow}`,
    '',
    ...(unchanged.length > 0 ? [`As before: ${unchanged.join(', ')}.`, ''] : []),
    ...table([['Variable', 'Now'], ...rows]),
    '',
    ...differences.map((difference) => `- ${difference}`),
    '',
  ].join('\n');
}

/** With columns of one width, as the formatter wants them. */
function table([head = [], ...rows]: string[][]): string[] {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (cells: string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

function becomesOf({ name, otherwise, convert, note }: OriginalVariable): string {
  return [
    ...(name ? [`called \`${name}\`.`] : []),
    ...(otherwise && !convert ? [`\`${otherwise}\` where it was not set.`] : []),
    ...(note ? [note] : []),
  ].join(' ');
}
