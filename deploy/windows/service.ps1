<#
.SYNOPSIS
  Runs the pack as a Windows service, or takes the service away.
.DESCRIPTION
  Installs Node-RED and the pack into a folder, writes the files of the environment to be filled in, and registers a
  service through WinSW (https://github.com/winsw/winsw), which stops Node-RED with Ctrl+C so that it drains.
.EXAMPLE
  .\service.ps1 -WinSW C:\Tools\WinSW-x64.exe -Flows audiohook-collector, ocelot-events
.EXAMPLE
  .\service.ps1 -Remove
#>
[CmdletBinding(DefaultParameterSetName = 'Install')]
param(
    # The program WinSW, release 2.12.
    [Parameter(Mandatory = $true, ParameterSetName = 'Install')]
    [string] $WinSW,

    # Example flows to run; without them the flows are those that the editor writes.
    [Parameter(ParameterSetName = 'Install')]
    [string[]] $Flows = @(),

    # What npm installs: a name, a version or a .tgz.
    [Parameter(ParameterSetName = 'Install')]
    [string] $Package = '@contactflow/node-red-contact-center',

    # The release of Node-RED.
    [Parameter(ParameterSetName = 'Install')]
    [string] $NodeRed = '4.1',

    # Takes the service away; the folder stays.
    [Parameter(Mandatory = $true, ParameterSetName = 'Remove')]
    [switch] $Remove,

    # Where programs, settings and data lie.
    [string] $Folder = (Join-Path $Env:ProgramData 'contact-center')
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Invoke-Program {
    param([string] $Path, [string[]] $Arguments)
    & $Path @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Path ended with exit code $LASTEXITCODE." }
}

$identity = [Security.Principal.WindowsPrincipal] [Security.Principal.WindowsIdentity]::GetCurrent()
if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    throw 'Run this as administrator.'
}
$wrapper = Join-Path $Folder 'contact-center-service.exe'

if ($Remove) {
    Invoke-Program $wrapper @('stop')
    Invoke-Program $wrapper @('uninstall')
    return
}

$node = (Get-Command node.exe -ErrorAction Stop).Source
$deploy = Split-Path -Parent $PSScriptRoot
$data = Join-Path $Folder 'data'
$environment = Join-Path $Folder 'env'
foreach ($path in @($Folder, $data, $environment)) {
    New-Item -ItemType Directory -Force -Path $path | Out-Null
}

Invoke-Program 'npm.cmd' @(
    'install', '--prefix', $Folder, '--omit=dev', '--no-audit', '--no-fund', "node-red@$NodeRed", $Package
)
Copy-Item -Force (Join-Path $deploy 'settings.js') (Join-Path $Folder 'settings.js')

$flowFile = Join-Path $Folder 'flows.json'
Remove-Item -Force -ErrorAction SilentlyContinue $flowFile
if ($Flows.Count -gt 0) {
    $command = Join-Path $Folder 'node_modules\.bin\contact-center.cmd'
    $merged = & $command flows @Flows
    if ($LASTEXITCODE -ne 0) { throw 'The flows could not be put together.' }
    [IO.File]::WriteAllLines($flowFile, [string[]] $merged)
}

# What has been filled in stays.
$names = @('node-red') + $Flows
foreach ($name in $names) {
    $file = Join-Path $environment "$name.env"
    if (-not (Test-Path $file)) {
        Copy-Item (Join-Path $deploy "env\$name.env.example") $file
    }
}

# Only the service and administrators may read the secrets, and only the service writes its data.
Invoke-Program 'icacls.exe' @($environment, '/inheritance:r', '/grant:r', '*S-1-5-32-544:(OI)(CI)F', '*S-1-5-18:(OI)(CI)F', '*S-1-5-19:(OI)(CI)R')
Invoke-Program 'icacls.exe' @($data, '/grant:r', '*S-1-5-19:(OI)(CI)M')

$files = ($names | ForEach-Object { '"--env-file=' + (Join-Path $environment "$_.env") + '"' }) -join ' '
$red = Join-Path $Folder 'node_modules\node-red\red.js'
$settings = Join-Path $Folder 'settings.js'
$arguments = "$files ""$red"" --userDir ""$data"" --settings ""$settings"""
$escape = { param([string] $text) [Security.SecurityElement]::Escape($text) }
$definition = @"
<service>
  <id>contact-center</id>
  <name>Contact center services on Node-RED</name>
  <description>Node-RED with the contact center nodes.</description>
  <executable>$(& $escape $node)</executable>
  <arguments>$(& $escape $arguments)</arguments>
  <workingdirectory>$(& $escape $data)</workingdirectory>
  <env name="NODE_ENV" value="production" />
  <env name="NODE_OPTIONS" value="--max-semi-space-size=64" />
  <serviceaccount>
    <domain>NT AUTHORITY</domain>
    <user>LocalService</user>
  </serviceaccount>
  <startmode>Automatic</startmode>
  <stoptimeout>30 sec</stoptimeout>
  <onfailure action="restart" delay="2 sec" />
  <logpath>$(& $escape $data)</logpath>
  <log mode="roll-by-size">
    <sizeThreshold>10240</sizeThreshold>
    <keepFiles>8</keepFiles>
  </log>
</service>
"@
[IO.File]::WriteAllText((Join-Path $Folder 'contact-center-service.xml'), $definition)

if (Get-Service -Name 'contact-center' -ErrorAction SilentlyContinue) {
    Invoke-Program $wrapper @('stop')
    Invoke-Program $wrapper @('uninstall')
}
Copy-Item -Force $WinSW $wrapper
Invoke-Program $wrapper @('install')
Write-Output "Fill in the files in $environment, then: Start-Service contact-center"
