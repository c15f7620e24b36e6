/** How the callee answers the last four digits of a number with a final SIP code. */
const REFUSALS: Record<string, string> = {
  '0486': '486 Busy Here',
  '0603': '603 Decline',
  '0404': '404 Not Found',
  '0480': '480 Temporarily Unavailable',
  '0503': '503 Service Unavailable',
  '0488': '488 Not Acceptable Here',
  '0500': '500 Server Internal Error',
  '0403': '403 Forbidden',
};

/** Other endings of a number: silent, rings for ever, early media, hangs up after a second, rings for three seconds. */
const BEHAVIOURS = ['0408', '0180', '0183', '0201', '0302'];

const SDP = `
      v=0
      o=callee 1 1 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000`;

/**
 * The scenario of SIPp that plays the called party: what it does is chosen by the last four digits of the number. Any
 * other number rings for 300 ms, answers, and stays until the caller hangs up.
 */
export function calleeScenario(): string {
  const digits = [...Object.keys(REFUSALS), ...BEHAVIOURS];
  const choose = digits.map((each) => `<ereg regexp="${each}@" search_in="hdr" header="To:" assign_to="n${each}"/>`);
  const go = (each: string) => `<nop next="${each}" test="n${each}"/>`;
  return `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="callee">
  <recv request="INVITE" crlf="true" rrs="true"><action>
    <ereg regexp="^[^\\r\\n]*" search_in="hdr" header="CSeq:" assign_to="cseq"/>
    <ereg regexp="^[^\\r\\n]*" search_in="hdr" header="From:" assign_to="from"/>
    <ereg regexp="^[^\\r\\n]*" search_in="hdr" header="To:" assign_to="to"/>
    ${choose.join('\n    ')}
  </action></recv>
  ${go('0408')}
  ${response('100 Trying', { tag: false })}
  ${Object.keys(REFUSALS).map(go).join('\n  ')}
  ${go('0183')}
  ${response('180 Ringing')}
  ${go('0180')}
  ${go('0302')}
  <pause milliseconds="300"/>
  <nop next="answer"/>

  <label id="0302"/>
  <pause milliseconds="3000"/>
  <nop next="answer"/>

  <label id="0183"/>
  ${response('183 Session Progress', { sdp: true })}
  <pause milliseconds="1000"/>

  <label id="answer"/>
  ${response('200 OK', { sdp: true, repeat: true })}
  <recv request="ACK" crlf="true"/>
  ${go('0201')}
  <recv request="BYE"/>
  ${response('200 OK', { tag: false })}
  <nop next="end"/>

  <label id="0201"/>
  <pause milliseconds="1000"/>
  <send retrans="500"><![CDATA[
      BYE [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: [$to];tag=[pid]c[call_number]
      To: [$from]
      [last_Call-ID:]
      CSeq: 1 BYE
      Max-Forwards: 70
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>
      Content-Length: 0

  ]]></send>
  <recv response="200"/>
  <nop next="end"/>

  <label id="0180"/>
  <recv request="CANCEL"/>
  ${response('200 OK', { tag: false })}
  ${response('487 Request Terminated', { repeat: true, sequence: 'CSeq: [$cseq]' })}
  <nop next="acknowledged"/>
${Object.entries(REFUSALS)
  .map(([each, code]) => `  <label id="${each}"/>\n  ${response(code, { repeat: true })}\n  <nop next="acknowledged"/>`)
  .join('\n')}

  <label id="acknowledged"/>
  <recv request="ACK" crlf="true"/>
  <nop next="end"/>

  <label id="0408"/>
  <recv request="CANCEL" timeout="60000" ontimeout="end"/>
  <label id="end"/>
  <nop/>
</scenario>
`;
}

function response(
  code: string,
  { sdp = false, tag = true, repeat = false, sequence = '[last_CSeq:]' }: Record<string, unknown> = {},
): string {
  return `<send${repeat ? ' retrans="500"' : ''}><![CDATA[
      SIP/2.0 ${code}
      [last_Via:]
      [last_From:]
      [last_To:]${tag ? ';tag=[pid]c[call_number]' : ''}
      [last_Call-ID:]
      ${sequence}
      Contact: <sip:[local_ip]:[local_port];transport=[transport]>
      ${sdp ? `Content-Type: application/sdp\n      Content-Length: [len]\n${SDP}` : 'Content-Length: 0'}

  ]]></send>`;
}
